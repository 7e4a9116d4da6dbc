/* regain.h: what the header of a segment said, found from its blocks, when it cannot be read any more.
 *
 * For repair only: a header is 4096 bytes, and a segment is up to 16 GiB of good blocks behind it. One thread. */
#ifndef SP_LOG_REGAIN_H
#define SP_LOG_REGAIN_H

#include "log/files.h"

/* sp_segment_regain: set file->identity, and file->reason to NULL. Half of the salt is regained, and `created` is that of its first record:
 * blocks can be read and copied, and the header has to be made anew.
 *   file    opened, with a `reason`
 *   known   what is known otherwise: topic_id, partition, unit_shift, base_offset, record_max
 * Returns whether that is possible: the first block has to be good */
bool sp_segment_regain(struct sp_segment_file *file, const struct sp_segment_identity *known);

#endif
