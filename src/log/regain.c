/* regain.c: see regain.h.
 *
 * A block's header_crc is a CRC continued from the low half of the segment's salt, and a CRC is linear in what it is continued from: 32
 * equations with 32 unknowns give it back. That proves nothing, for some value always fits; so the block's data has to have its checksum,
 * and every record in it the stamp of its offset. The stamps' salt is found from the first of them. */
#include "log/regain.h"

#include <string.h>

#include "layout/record_layout.h"
#include "log/blocks.h"
#include "shm/descriptor.h"

static uint32_t crc_with(const struct sp_block_header *header, uint32_t salt)
{
    struct sp_block_header copy = *header;
    sp_block_seal(&copy, salt);
    return copy.header_crc;
}

/* The low half of the salt with which the header's checksum is right. */
static bool solve(const struct sp_block_header *header, uint32_t *ret_salt)
{
    const uint32_t none = crc_with(header, 0);
    const uint32_t wanted = header->header_crc ^ none;
    uint32_t salt = 0;
    uint32_t changes[32], made_of[32];

    for (uint32_t i = 0; i < 32; i++) {
        made_of[i] = UINT32_C(1) << i;
        changes[i] = crc_with(header, made_of[i]) ^ none;
    }
    for (uint32_t bit = 0; bit < 32; bit++) { /* Gauss: in the end, row `bit` alone changes that bit, and nothing else */
        uint32_t pivot = bit;
        while (pivot < 32 && !(changes[pivot] >> bit & 1))
            pivot++;
        if (pivot == 32)
            return false;
        const uint32_t change = changes[pivot], made = made_of[pivot];
        changes[pivot] = changes[bit];
        made_of[pivot] = made_of[bit];
        changes[bit] = change;
        made_of[bit] = made;
        for (uint32_t i = 0; i < 32; i++) {
            if (i != bit && changes[i] >> bit & 1) {
                changes[i] ^= change;
                made_of[i] ^= made;
            }
        }
    }
    for (uint32_t bit = 0; bit < 32; bit++)
        salt ^= wanted >> bit & 1 ? made_of[bit] : 0;
    *ret_salt = salt;
    return crc_with(header, salt) == header->header_crc;
}

/* All stamps of the first block follow from one salt. */
static bool find_stamp_salt(struct sp_segment_file *file, struct sp_segment_identity *identity)
{
    struct sp_blocks blocks;
    struct sp_block_census census;
    uint64_t stamp;
    bool is_found = false;

    sp_blocks_begin(&blocks, &file->source, identity, false);
    if (sp_blocks_next(&blocks) == 0 && blocks.kind == SP_BLOCKS_GOOD) {
        memcpy(&stamp, blocks.raw, sizeof stamp);
        identity->stamp_salt = blocks.header.base_offset - stamp * SP_STAMP_STEP_INVERSE;
        sp_block_count(identity, &blocks.header, blocks.raw, &census);
        is_found = census.reason == NULL;
        identity->created = blocks.header.first_timestamp;
    }
    sp_blocks_end(&blocks);
    return is_found;
}

bool sp_segment_regain(struct sp_segment_file *file, const struct sp_segment_identity *known)
{
    struct sp_segment_identity identity = *known;
    struct sp_block_header header;
    uint32_t salt;

    if (file->fd < 0 || sp_read_fully(file->fd, &header, sizeof header, sizeof(struct sp_segment_header)) != 0)
        return false;
    if ((header.kind & 0xffffff00u) != SP_BLOCK_MAGIC || !solve(&header, &salt))
        return false;
    identity.salt = salt;
    identity.crc = header.previous;
    if (!find_stamp_salt(file, &identity))
        return false;
    file->identity = identity;
    file->reason = NULL;
    return true;
}
