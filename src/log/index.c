/* index.c: see index.h. An entry says what is the largest timestamp of all blocks before it, so that entries are sorted by offset and by
 * time at once, whatever timestamps producers gave. */
#include "log/index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

void sp_index_begin(struct sp_index_maker *maker)
{
    *maker = (struct sp_index_maker){.max_timestamp = INT64_MIN};
}

void sp_index_end(struct sp_index_maker *maker)
{
    free(maker->entries);
    maker->entries = NULL;
    maker->count = maker->room = 0;
}

int sp_index_note(struct sp_index_maker *maker, const struct sp_block_header *header, uint64_t at)
{
    const int64_t before = maker->max_timestamp;

    if (header->last_timestamp > maker->max_timestamp)
        maker->max_timestamp = header->last_timestamp;
    if (maker->count != 0 && at - maker->noted < SP_INDEX_STEP)
        return 0;
    if (maker->count == maker->room) {
        const uint64_t room = maker->room ? 2 * maker->room : 64;
        struct sp_index_entry *entries = realloc(maker->entries, room * sizeof *entries);
        if (!entries)
            return sp_fail(-ENOMEM, "no memory for the index of a segment");
        maker->entries = entries;
        maker->room = room;
    }
    maker->entries[maker->count++] = (struct sp_index_entry){header->base_offset, before, at};
    maker->noted = at;
    return 0;
}

struct sp_index_header sp_index_header(const struct sp_index_maker *maker, uint64_t salt, uint64_t size, uint64_t next_offset)
{
    struct sp_index_header header = {.count = maker->count,
                                     .segment_size = size,
                                     .salt = salt,
                                     .max_timestamp = maker->max_timestamp,
                                     .next_offset = next_offset};

    sp_index_seal(&header, maker->entries);
    return header;
}
