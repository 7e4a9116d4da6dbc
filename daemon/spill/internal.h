/* internal.h: what the three files of a writer share: writer.c (gathering and writing), segments.c (changing files), flush.c (flushing
 * and the frontier). */
#ifndef SPATED_SPILL_INTERNAL_H
#define SPATED_SPILL_INTERNAL_H

#include "base/clock.h"
#include "spill/writer.h"

#define WRITER_NEVER INT64_MAX
#define WRITER_RETRY (200 * SP_NS_PER_MS) /* after ENOSPC */

/* writer_take_slot: the next slot of the queue, with a buffer; NULL while there is none. writer_submit_slot: write its buffer.
 *   at, size  in its segment; size a multiple of SP_LOG_GRAIN */
struct writer_slot *writer_take_slot(struct writer *writer);
void writer_submit_slot(struct writer *writer, struct writer_slot *slot, uint64_t at, uint32_t size, struct log_place end);

/* segments_open, segments_close: at the beginning and the end. Returns 0, -errno. */
int segments_open(struct writer *writer);
void segments_close(struct writer *writer);

/* segments_room: make sure that the current segment has room for a block of `size` bytes, entering the next one if not. Returns false
 * while that has to be waited for. */
bool segments_room(struct writer *writer, uint64_t size, int64_t now);

/* segments_step: make the next one ready, finish the one that was left. Returns when to be called again. */
int64_t segments_step(struct writer *writer, int64_t now);

/* flush_step: begin what is due. Returns when to be called again. */
int64_t flush_step(struct writer *writer, int64_t now);

int flush_open(struct writer *writer);
void flush_close(struct writer *writer);

#endif
