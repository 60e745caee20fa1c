/* SPDX-License-Identifier: Apache-2.0 */
#include "repeats.h"

void repeats_put(struct repeats *repeats, struct record *record, struct stream *stream)
{
    const uint64_t key = record_key(record);
    size_t place = key % REPEATS_PLACES;
    while (repeats->numbers[place] != 0 && repeats->keys[place] != key)
        place = (place + 1) % REPEATS_PLACES;
    if (repeats->numbers[place] != 0) {
        stream_put_again(stream, record_thread(record), repeats->numbers[place]);
        return;
    }
    if (repeats->given < REPEATS_KEPT) {
        repeats->keys[place] = key;
        repeats->numbers[place] = ++repeats->given;
        record_number(record, repeats->given);
    }
    stream_put(stream, record);
}
