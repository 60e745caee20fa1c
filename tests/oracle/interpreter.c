// SPDX-License-Identifier: Apache-2.0
// Runs a generated program as interpreter.py does, with the same words on its standard output, but starts in a
// millisecond: a wrapped run of it looks at a tenth of the files. Has the operations that programs use, not those that
// only build and change worlds. Started as `interpreter PROGRAM [LINE LINE]`.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 1 << 20, PIPED = 60000, WORDS = 5 };
static const struct timespec TICK = {.tv_nsec = 12 * 1000 * 1000};
static const char *const BLOCKS[] = {"child", "fork", "if-exists", "if-newer", "if-variable",
                                     "in", "processes", "thread", "threads", NULL};
static const char *const TIMED[] = {"append", "copy", "create", "patch", "publish", "reformat",
                                    "run", "shell", "touch", "truncate", "write", NULL};

extern char **environ;
static char **own_arguments;
static char **lines;
static int line_count;

struct text {
    char *data;
    size_t size;
};

static void die(const char *what) {
    dprintf(STDERR_FILENO, "%s\n", what);
    _exit(1);
}

static void *allocate(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) die("no memory");
    return memory;
}

static void say(int descriptor, const char *data, size_t size) {
    if (write(descriptor, data, size) < 0 && errno == EPIPE) _exit(1);
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; names++)
        if (!strcmp(name, *names)) return true;
    return false;
}

// Appends; what an operation observed is told at its end in one write.
static void add(struct text *text, const char *data, size_t size) {
    text->data = realloc(text->data, text->size + size + 1);
    if (!text->data) die("no memory");
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

static void add_string(struct text *text, const char *string) { add(text, string, strlen(string)); }

// Writes all but visible characters, and the percent sign, as two digits.
static void add_quoted(struct text *text, const char *data, size_t size) {
    char *quoted = allocate(3 * size + 1), *end = quoted;
    for (size_t i = 0; i < size; i++) {
        unsigned char one = (unsigned char)data[i];
        if (one > ' ' && one < 127 && one != '%')
            *end++ = (char)one;
        else
            end += sprintf(end, "%%%02x", one);
    }
    add(text, quoted, (size_t)(end - quoted));
    free(quoted);
}

static struct text decoded(const char *word) {
    struct text text = {0};
    const char *place = !strncmp(word, "~/", 2) ? getenv("HOME") : !strncmp(word, "^/", 2) ? getenv("TMPDIR") : NULL;
    if (place) {
        add_string(&text, place);
        word++;
    }
    add(&text, "", 0);
    for (; *word; word++) {
        unsigned one = (unsigned char)*word;
        if (one == '%') {
            if (sscanf(word + 1, "%2x", &one) != 1) die("a word is not escaped");
            word += 2;
        }
        char byte = (char)one;
        add(&text, &byte, 1);
    }
    return text;
}

// An operation gets its words and says what it observed; -1 with errno is an error of the kernel's.
struct words {
    struct text at[WORDS];
};
#define PATH(number) (words->at[number].data)
#define NUMBER(number) (atol(words->at[number].data))

static int get(int directory, const char *path, int flags, size_t size, off_t offset, struct text *out) {
    int descriptor = openat(directory, path, O_RDONLY | O_CLOEXEC | flags);
    if (descriptor < 0) return -1;
    char *data = allocate(size);
    ssize_t count = pread(descriptor, data, size, offset);
    int error = errno;
    if (count >= 0) add(out, data, (size_t)count);
    free(data);
    close(descriptor);
    errno = error;
    return count < 0 ? -1 : 0;
}

static int put(const char *path, const char *data, size_t size, int flags) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (descriptor < 0) return -1;
    ssize_t count = write(descriptor, data, size);
    close(descriptor);
    return count < 0 ? -1 : 0;
}

static int tell(int directory, const char *path, int flags, size_t size, off_t offset, struct text *out) {
    struct text content = {0};
    int result = get(directory, path, flags, size, offset, &content);
    if (!result) {
        add_string(out, "=");
        add_quoted(out, content.data ? content.data : "", content.size);
    }
    free(content.data);
    return result;
}

static int do_read(struct words *words, struct text *out) { return tell(AT_FDCWD, PATH(0), 0, LARGEST, 0, out); }

static int do_read_part(struct words *words, struct text *out) {
    return tell(AT_FDCWD, PATH(0), 0, (size_t)NUMBER(2), NUMBER(1), out);
}

static int do_read_nofollow(struct words *words, struct text *out) {
    return tell(AT_FDCWD, PATH(0), O_NOFOLLOW, LARGEST, 0, out);
}

static int do_read_at(struct words *words, struct text *out) {
    int directory = open(PATH(0), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
    int result = tell(directory, PATH(1), 0, LARGEST, 0, out);
    int error = errno;
    close(directory);
    errno = error;
    return result;
}

static int do_read_by_proc(struct words *words, struct text *out) {
    struct text path = {0};
    add_string(&path, "/proc/self/cwd/");
    add_string(&path, PATH(0));
    int result = tell(AT_FDCWD, path.data, 0, LARGEST, 0, out);
    free(path.data);
    return result;
}

static int do_read_mapped(struct words *words, struct text *out) {
    int descriptor = open(PATH(0), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    struct stat status;
    if (fstat(descriptor, &status)) return -1;
    size_t size = S_ISREG(status.st_mode) ? (size_t)status.st_size : 0;
    if (S_ISREG(status.st_mode) && !size) {
        add_string(out, "EMPTY");
        close(descriptor);
        return 0;
    }
    char *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    int error = errno;
    if (mapped != MAP_FAILED) {
        add_string(out, "=");
        add_quoted(out, mapped, size);
        munmap(mapped, size);
    }
    close(descriptor);
    errno = error;
    return mapped == MAP_FAILED ? -1 : 0;
}

static int do_write(struct words *words, struct text *out) {
    (void)out;
    return put(PATH(0), PATH(1), words->at[1].size, O_CREAT | O_TRUNC);
}

static int do_append(struct words *words, struct text *out) {
    (void)out;
    return put(PATH(0), PATH(1), words->at[1].size, O_CREAT | O_APPEND);
}

static int do_create(struct words *words, struct text *out) {
    (void)out;
    return put(PATH(0), PATH(1), words->at[1].size, O_CREAT | O_EXCL);
}

static int do_patch(struct words *words, struct text *out) {
    (void)out;
    int descriptor = open(PATH(0), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    ssize_t count = pwrite(descriptor, PATH(2), words->at[2].size, NUMBER(1));
    close(descriptor);
    return count < 0 ? -1 : 0;
}

static int do_copy(struct words *words, struct text *out) {
    (void)out;
    struct text content = {0};
    int result = get(AT_FDCWD, PATH(0), 0, LARGEST, 0, &content);
    if (!result) result = put(PATH(1), content.data ? content.data : "", content.size, O_CREAT | O_TRUNC);
    free(content.data);
    return result;
}

// Reads a file and writes it back, changed, as a formatter does.
static int do_reformat(struct words *words, struct text *out) {
    struct text content = {0};
    if (get(AT_FDCWD, PATH(0), 0, LARGEST, 0, &content)) return -1;
    add_string(out, "=");
    add_quoted(out, content.data ? content.data : "", content.size);
    for (size_t i = 0; i < content.size; i++)
        if (content.data[i] >= 'a' && content.data[i] <= 'z') content.data[i] -= 'a' - 'A';
    int result = put(PATH(0), content.data ? content.data : "", content.size, O_TRUNC);
    free(content.data);
    return result;
}

static struct text with_chance(const char *before) {
    unsigned number = 0;
    char digits[9];
    if (getrandom(&number, sizeof number, 0) != sizeof number) die("no random number");
    snprintf(digits, sizeof digits, "%08x", number);
    struct text path = {0};
    add_string(&path, before);
    add_string(&path, digits);
    return path;
}

// Writes under a name that no other run has, then renames into place.
static int do_publish(struct words *words, struct text *out) {
    (void)out;
    struct text before = {0};
    add_string(&before, PATH(0));
    add_string(&before, ".");
    struct text temporary = with_chance(before.data);
    int result = put(temporary.data, PATH(1), words->at[1].size, O_CREAT | O_EXCL);
    if (!result && (result = rename(temporary.data, PATH(0)))) {
        int error = errno;
        unlink(temporary.data);
        errno = error;
    }
    free(before.data);
    free(temporary.data);
    return result;
}

static int do_scratch(struct words *words, struct text *out) {
    struct text before = {0};
    add_string(&before, getenv("TMPDIR"));
    add_string(&before, "/t");
    struct text path = with_chance(before.data);
    int result = put(path.data, PATH(0), words->at[0].size, O_CREAT | O_EXCL);
    if (!result) result = tell(AT_FDCWD, path.data, 0, LARGEST, 0, out);
    if (!result) result = unlink(path.data);
    free(before.data);
    free(path.data);
    return result;
}

struct name {
    char *name;
    const char *sign;
};

static int by_name(const void *one, const void *other) {
    return strcmp(((const struct name *)one)->name, ((const struct name *)other)->name);
}

static int list(const char *path, bool types, struct text *out) {
    DIR *directory = opendir(path);
    if (!directory) return -1;
    struct name *names = NULL;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        names = realloc(names, (count + 1) * sizeof *names);
        if (!names) die("no memory");
        const char *sign = entry->d_type == DT_DIR ? "/" : entry->d_type == DT_LNK ? "@" : "";
        names[count++] = (struct name){strdup(entry->d_name), types ? sign : ""};
    }
    closedir(directory);
    if (count) qsort(names, count, sizeof *names, by_name);
    add_string(out, "=");
    for (size_t i = 0; i < count; i++) {
        add_string(out, i ? " " : "");
        add_quoted(out, names[i].name, strlen(names[i].name));
        add_string(out, names[i].sign);
        free(names[i].name);
    }
    free(names);
    return 0;
}

static int do_names(struct words *words, struct text *out) { return list(PATH(0), false, out); }
static int do_types(struct words *words, struct text *out) { return list(PATH(0), true, out); }

// Says what every file system shows alike: type and mode, and a regular file's size.
static int describe(const struct stat *status, struct text *out) {
    const char *kind = S_ISREG(status->st_mode)    ? "file"
                       : S_ISDIR(status->st_mode)  ? "directory"
                       : S_ISLNK(status->st_mode)  ? "symlink"
                       : S_ISFIFO(status->st_mode) ? "fifo"
                                                   : "other";
    char said[64];
    int size = snprintf(said, sizeof said, "%s %04o ", kind, status->st_mode & 07777);
    add(out, said, (size_t)size);
    size = S_ISREG(status->st_mode) ? snprintf(said, sizeof said, "%lld", (long long)status->st_size) : 1;
    add(out, S_ISREG(status->st_mode) ? said : "-", (size_t)size);
    return 0;
}

static int do_status(struct words *words, struct text *out) {
    struct stat status;
    return stat(PATH(0), &status) ? -1 : describe(&status, out);
}

static int do_link_status(struct words *words, struct text *out) {
    struct stat status;
    return lstat(PATH(0), &status) ? -1 : describe(&status, out);
}

static int do_access(struct words *words, struct text *out) {
    add_string(out, access(PATH(0), (int)NUMBER(1)) ? "False" : "True");
    return 0;
}

static int do_readlink(struct words *words, struct text *out) {
    char target[PATH_MAX];
    ssize_t size = readlink(PATH(0), target, sizeof target);
    if (size < 0) return -1;
    add_string(out, "=");
    add_quoted(out, target, (size_t)size);
    return 0;
}

static int do_attribute(struct words *words, struct text *out) {
    char name[256], value[1024];
    snprintf(name, sizeof name, "user.%s", PATH(1));
    ssize_t size = getxattr(PATH(0), name, value, sizeof value);
    if (size < 0) return -1;
    add_string(out, "=");
    add_quoted(out, value, (size_t)size);
    return 0;
}

static int compare(const char *one, const char *other, struct text *out) {
    struct stat first, second;
    if (stat(one, &first) || stat(other, &second)) {
        if (errno != ENOENT) return -1;
        add_string(out, "absent");
        return 0;
    }
    const struct timespec a = first.st_mtim, b = second.st_mtim;
    bool older = a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
    bool equal = a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    add_string(out, equal ? "equal" : older ? "older" : "newer");
    return 0;
}

static int do_compared(struct words *words, struct text *out) { return compare(PATH(0), PATH(1), out); }

static int do_variable(struct words *words, struct text *out) {
    const char *value = getenv(PATH(0));
    add_string(out, value ? "=" : "unset");
    if (value) add_quoted(out, value, strlen(value));
    return 0;
}

static int do_directory(struct words *words, struct text *out) {
    (void)words;
    char path[PATH_MAX];
    if (!getcwd(path, sizeof path)) return -1;
    add_string(out, "=");
    add_quoted(out, path, strlen(path));
    return 0;
}

static int do_mask(struct words *words, struct text *out) {
    (void)words;
    mode_t value = umask(0);
    umask(value);
    char said[8];
    add(out, said, (size_t)snprintf(said, sizeof said, "%03o", value));
    return 0;
}

static int do_stdin(struct words *words, struct text *out) {
    char data[4096];
    long wanted = NUMBER(0);
    ssize_t size = read(STDIN_FILENO, data, wanted < (long)sizeof data ? (size_t)wanted : sizeof data);
    if (size < 0) return -1;
    add_string(out, "=");
    add_quoted(out, data, (size_t)size);
    return 0;
}

static int code_of(int status) { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

static int told_status(int status, struct text *out) {
    char said[32];
    add(out, said, (size_t)snprintf(said, sizeof said, "status %d", code_of(status)));
    return 0;
}

static int do_shell(struct words *words, struct text *out) { return told_status(system(PATH(0)), out); }

static int do_run(struct words *words, struct text *out) {
    pid_t child;
    char *arguments[] = {PATH(0), NULL};
    int error = posix_spawn(&child, PATH(0), NULL, NULL, arguments, environ), status;
    if (error) {
        errno = error;
        return -1;
    }
    if (waitpid(child, &status, 0) < 0) return -1;
    return told_status(status, out);
}

static int loud(int descriptor, struct words *words) {
    struct text line = {0};
    add(&line, PATH(0), words->at[0].size);
    add_string(&line, "\n");
    say(descriptor, line.data, line.size);
    free(line.data);
    return 0;
}

static int do_say(struct words *words, struct text *out) { return (void)out, loud(STDOUT_FILENO, words); }
static int do_warn(struct words *words, struct text *out) { return (void)out, loud(STDERR_FILENO, words); }
static int do_chdir(struct words *words, struct text *out) { return (void)out, chdir(PATH(0)); }
static int do_mkdir(struct words *words, struct text *out) { return (void)out, mkdir(PATH(0), 0777); }
static int do_rmdir(struct words *words, struct text *out) { return (void)out, rmdir(PATH(0)); }
static int do_unlink(struct words *words, struct text *out) { return (void)out, unlink(PATH(0)); }
static int do_rename(struct words *words, struct text *out) { return (void)out, rename(PATH(0), PATH(1)); }
static int do_symlink(struct words *words, struct text *out) { return (void)out, symlink(PATH(0), PATH(1)); }
static int do_truncate(struct words *words, struct text *out) { return (void)out, truncate(PATH(0), NUMBER(1)); }
static int do_touch(struct words *words, struct text *out) { return (void)out, utimensat(AT_FDCWD, PATH(0), NULL, 0); }
static int do_link(struct words *words, struct text *out) {
    return (void)out, linkat(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1), 0);
}
static int do_chmod(struct words *words, struct text *out) {
    return (void)out, chmod(PATH(0), (mode_t)strtol(PATH(1), NULL, 8));
}
static int do_rename_noreplace(struct words *words, struct text *out) {
    return (void)out, renameat2(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1), RENAME_NOREPLACE);
}
static int do_exchange(struct words *words, struct text *out) {
    return (void)out, renameat2(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1), RENAME_EXCHANGE);
}
static int do_stamp(struct words *words, struct text *out) {
    const struct timespec times[2] = {{.tv_sec = NUMBER(1)}, {.tv_sec = NUMBER(1)}};
    return (void)out, utimensat(AT_FDCWD, PATH(0), times, AT_SYMLINK_NOFOLLOW);
}

static const struct operation {
    const char *name;
    int (*does)(struct words *words, struct text *out);
    int words;
} OPERATIONS[] = {
    {"access", do_access, 2},           {"append", do_append, 2},
    {"attribute", do_attribute, 2},     {"chdir", do_chdir, 1},
    {"chmod", do_chmod, 2},             {"compared", do_compared, 2},
    {"copy", do_copy, 2},               {"create", do_create, 2},
    {"directory", do_directory, 0},     {"exchange", do_exchange, 2},
    {"link", do_link, 2},               {"link-status", do_link_status, 1},
    {"mask", do_mask, 0},               {"mkdir", do_mkdir, 1},
    {"names", do_names, 1},             {"patch", do_patch, 3},
    {"publish", do_publish, 2},         {"read", do_read, 1},
    {"read-at", do_read_at, 2},         {"read-by-proc", do_read_by_proc, 1},
    {"read-mapped", do_read_mapped, 1}, {"read-nofollow", do_read_nofollow, 1},
    {"read-part", do_read_part, 3},     {"readlink", do_readlink, 1},
    {"reformat", do_reformat, 1},       {"rename", do_rename, 2},
    {"rename-noreplace", do_rename_noreplace, 2},
    {"rmdir", do_rmdir, 1},             {"run", do_run, 1},
    {"say", do_say, 1},                 {"scratch", do_scratch, 1},
    {"shell", do_shell, 1},             {"stamp", do_stamp, 2},
    {"status", do_status, 1},           {"stdin", do_stdin, 1},
    {"symlink", do_symlink, 2},         {"touch", do_touch, 1},
    {"truncate", do_truncate, 2},       {"types", do_types, 1},
    {"unlink", do_unlink, 1},           {"variable", do_variable, 1},
    {"warn", do_warn, 1},               {"write", do_write, 2},
};

// A line cut at its spaces; the first part is the operation's name.
struct parsed {
    char *name;
    char *parts[WORDS];
    int count;
    char *line;
};

static struct parsed parse(const char *line) {
    struct parsed parsed = {.line = strdup(line)};
    char *rest = parsed.line;
    parsed.name = strsep(&rest, " ");
    while (rest && parsed.count < WORDS) parsed.parts[parsed.count++] = strsep(&rest, " ");
    return parsed;
}

static struct text perform(const struct parsed *line) {
    struct text out = {0};
    add(&out, "", 0);
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++) {
        const struct operation *one = &OPERATIONS[i];
        if (strcmp(one->name, line->name)) continue;
        if (line->count != one->words) die("an operation has other words");
        struct words words = {0};
        for (int word = 0; word < line->count; word++) words.at[word] = decoded(line->parts[word]);
        if (one->does(&words, &out)) {
            out.size = 0;
            add_string(&out, strerrorname_np(errno));
        } else if (!out.size) {
            add_string(&out, "done");
        }
        for (int word = 0; word < line->count; word++) free(words.at[word].data);
        return out;
    }
    die("there is no such operation");
    return out;
}

static void tell_line(const char *line, const char *said, size_t size) {
    struct text told = {0};
    add_string(&told, line);
    add_string(&told, ": ");
    add(&told, said, size);
    add_string(&told, "\n");
    say(STDOUT_FILENO, told.data, told.size);
    free(told.data);
}

static void execute(int start, int stop);

// Does a body in a thread of its own.
struct body {
    int start, stop;
};

static void *run_body(void *argument) {
    const struct body *body = argument;
    execute(body->start, body->stop);
    return NULL;
}

static void in_thread(struct body body) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_body, &body)) die("no thread");
    pthread_join(thread, NULL);
}

static pid_t start_child(const char *name, struct body body) {
    pid_t child = fork();
    if (child) return child;
    if (!strcmp(name, "child")) {
        char start[16], stop[16];
        snprintf(start, sizeof start, "%d", body.start);
        snprintf(stop, sizeof stop, "%d", body.stop);
        char *arguments[] = {own_arguments[0], own_arguments[1], start, stop, NULL};
        execv(own_arguments[0], arguments);
        die("the interpreter is gone");
    }
    execute(body.start, body.stop);
    _exit(0);
}

// One of several lines that are done at one time; what it observed goes into its pipe.
struct work {
    const char *line;
    int end;
};

static void *do_work(void *argument) {
    const struct work *work = argument;
    struct parsed line = parse(work->line);
    struct text said = perform(&line);
    say(work->end, said.data, said.size < PIPED ? said.size : PIPED);
    free(said.data);
    free(line.line);
    return NULL;
}

static void start_all(bool threads, struct work *works, int count) {
    pthread_t thread[16];
    for (int i = 0; i < count; i++) {
        if (threads) {
            if (pthread_create(&thread[i], NULL, do_work, &works[i])) die("no thread");
        } else if (!fork()) {
            do_work(&works[i]);
            _exit(0);
        }
    }
    for (int i = 0; i < count; i++) threads ? (void)pthread_join(thread[i], NULL) : (void)wait(NULL);
}

static void at_once(bool threads, struct body body) {
    int count = body.stop - body.start, pipes[16][2];
    struct work works[16];
    if (count > 16) die("too much at one time");
    for (int i = 0; i < count; i++) {
        if (pipe2(pipes[i], O_CLOEXEC)) die("no pipe");
        works[i] = (struct work){lines[body.start + i], pipes[i][1]};
    }
    if (!strcmp(lines[0], "ticking")) nanosleep(&TICK, NULL);
    start_all(threads, works, count);
    char *said = allocate(PIPED);
    for (int i = 0; i < count; i++) {
        ssize_t size = read(pipes[i][0], said, PIPED);
        tell_line(works[i].line, said, size < 0 ? 0 : (size_t)size);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    free(said);
}

static bool holds(const struct parsed *line) {
    struct text first = decoded(line->parts[0]), second = {0}, out = {0};
    bool answer;
    if (!strcmp(line->name, "if-exists")) {
        struct stat status;
        answer = !stat(first.data, &status);
    } else {
        second = decoded(line->parts[1]);
        const char *value = getenv(first.data);
        answer = !strcmp(line->name, "if-newer")
                     ? !compare(first.data, second.data, &out) && !strcmp(out.data, "newer")
                     : value && !strcmp(value, second.data);
    }
    free(first.data);
    free(second.data);
    free(out.data);
    return answer;
}

// Finds where a block has its `else`, 0 for none, and its `end`.
static int end_of(int start, int *otherwise) {
    *otherwise = 0;
    for (int number = start, depth = 0; number < line_count; number++) {
        struct parsed line = parse(lines[number]);
        depth += is_one_of(line.name, BLOCKS) - !strcmp(line.name, "end");
        if (depth == 1 && !strcmp(line.name, "else")) *otherwise = number;
        free(line.line);
        if (!depth) return number;
    }
    die("a block has no end");
    return 0;
}

static void in_folder(const struct parsed *line, struct body body) {
    char before[PATH_MAX];
    if (!getcwd(before, sizeof before)) die("no working directory");
    struct text path = decoded(line->parts[0]);
    int entered = chdir(path.data);
    const char *said = entered ? strerrorname_np(errno) : "done";
    dprintf(STDOUT_FILENO, "in %s\n", said);
    if (!entered) {
        execute(body.start, body.stop);
        if (chdir(before)) die("the working directory is gone");
    }
    free(path.data);
}

static int do_block(int start) {
    struct parsed line = parse(lines[start]);
    int otherwise, end = end_of(start, &otherwise), status;
    struct body body = {start + 1, otherwise ? otherwise : end};
    if (!strcmp(line.name, "in")) {
        in_folder(&line, body);
    } else if (!strcmp(line.name, "child") || !strcmp(line.name, "fork")) {
        waitpid(start_child(line.name, body), &status, 0);
        dprintf(STDOUT_FILENO, "%s ended %d\n", line.name, code_of(status));
    } else if (!strcmp(line.name, "thread")) {
        in_thread(body);
    } else if (!strcmp(line.name, "threads") || !strcmp(line.name, "processes")) {
        at_once(!strcmp(line.name, "threads"), body);
    } else if (holds(&line)) {
        execute(body.start, body.stop);
    } else if (otherwise) {
        execute(otherwise + 1, end);
    }
    free(line.line);
    return end + 1;
}

static void execute(int start, int stop) {
    bool ticking = !strcmp(lines[0], "ticking");
    while (start < stop) {
        struct parsed line = parse(lines[start]);
        if (is_one_of(line.name, BLOCKS)) {
            start = do_block(start);
        } else {
            if (!strcmp(line.name, "exit")) _exit(atoi(line.parts[0]));
            if (ticking && is_one_of(line.name, TIMED)) nanosleep(&TICK, NULL);
            if (*line.name && strcmp(line.name, "ticking")) {
                struct text said = perform(&line);
                tell_line(lines[start], said.data, said.size);
                free(said.data);
            }
            start++;
        }
        free(line.line);
    }
}

int main(int count, char **arguments) {
    struct text program = {0};
    char path[PATH_MAX];
    if (count < 2 || get(AT_FDCWD, arguments[1], 0, LARGEST, 0, &program)) die("no program");
    if (count == 2) {  // a child may stand elsewhere
        if (!getcwd(path, sizeof path)) die("no working directory");
        size_t size = strlen(path);
        snprintf(path + size, sizeof path - size, "/%s", arguments[1]);
        arguments[1] = path;
    }
    own_arguments = arguments;
    for (char *rest = program.data; rest; line_count++) {
        lines = realloc(lines, (size_t)(line_count + 1) * sizeof *lines);
        lines[line_count] = strsep(&rest, "\n");
    }
    execute(count > 3 ? atoi(arguments[2]) : 0, count > 3 ? atoi(arguments[3]) : line_count);
    return 0;
}
