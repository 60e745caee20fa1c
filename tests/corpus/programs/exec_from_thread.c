// SPDX-License-Identifier: Apache-2.0
// A thread that is not the first runs another program, which takes the first one's number.
#include <pthread.h>
#include <unistd.h>

static void *run(void *name) {
    execl("/bin/cat", "cat", (char *)name, (char *)0);
    return 0;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, run, "in");
    pthread_join(thread, 0);
    return 1;
}
