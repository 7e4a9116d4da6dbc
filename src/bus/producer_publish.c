/* producer_publish.c: publishing values that lie in the caller's memory: copy and commit in one.
 *
 * The fast paths are spate_publish and spate_publish_batch, at the end, one pair per width of stores; what they do not take goes down from
 * publish_alike by publish_otherwise to publish_slowly, which claims and commits. */
#include <errno.h>

#include "base/clock.h"
#include "base/copy.h"
#include "bus/producer.h"

/* After an attempt that failed: 0 when it is worth another, which has to be made before the deadline too. */
static int wait_for_room(struct spate_producer *producer, int error, int64_t timeout, int64_t *deadline)
{
    if (error != -EAGAIN || timeout == 0)
        return error;
    if (*deadline < 0)
        *deadline = sp_deadline(timeout);
    else if (sp_clock_monotonic() >= *deadline)
        return -ETIMEDOUT; /* there seems to be room, and yet it is not to be had */
    return sp_producer_wait_until(producer, *deadline);
}

static int __attribute__((noinline))
publish_slowly(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct spate_claim claimed = {0};
    int64_t deadline = -1;
    int error;

    while (SP_UNLIKELY((error = sp_producer_claim_one(producer, record, record && !record->value, &claimed)) != 0)) {
        error = wait_for_room(producer, error, timeout, &deadline);
        if (error)
            return error;
    }
    struct sp_lane *lane = producer->open;
    if (claimed.value_size)
        sp_copy_words(claimed.value, record->value, claimed.value_size);
    if (ret_offset)
        *ret_offset = claimed.offset;
    (void)spate_commit(producer);
    if (record->value && sp_producer_learn(producer, lane, record))
        producer->quick = lane;
    return 0;
}

/* As sp_copy_words, without a call for what is short. */
static inline void copy_short(void *to, const void *from, size_t size)
{
    if (size >= SP_LINE_VALUE || size % 8 != 0) {
        sp_copy_words(to, from, size);
        return;
    }
    for (size_t i = 0; i < size; i += 8)
        memcpy((uint8_t *)to + i, (const uint8_t *)from + i, 8);
}

static inline bool append(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record)
{
    if (!lane->writer.has_timestamp)
        return sp_writer_append(&lane->writer, NULL, record->value, record->value_size, copy_short);
    const int64_t timestamp = sp_producer_timestamp(producer, lane, record);
    return sp_writer_append(&lane->writer, &timestamp, record->value, record->value_size, copy_short);
}

/* How every fast path ends. */
static inline int appended(struct spate_producer *producer, struct sp_lane *lane, uint32_t count, int64_t *ret_offset)
{
    if (ret_offset)
        *ret_offset = (int64_t)(lane->writer.offset - count);
    return sp_producer_notice(producer, lane);
}

/* What no fast path takes: keys, another partition than the latest, and the end of what may be written without a look. */
static int __attribute__((noinline))
publish_otherwise(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct sp_lane *lane = sp_producer_find_quick(producer, record);

    const bool is_due = lane && lane->writer.offset >= lane->writer.offset_end;
    if (!lane || !record->value || (is_due && sp_writer_reserve(&lane->writer, lane->writer.stride) != 0) ||
        !append(producer, lane, record))
        return publish_slowly(producer, record, timeout, ret_offset);
    producer->quick = lane;
    return appended(producer, lane, 1, ret_offset);
}

/* Records of the shape learnt. What the writer counts is written once, at the end.
 *   size, is_stamped  constants, so that there is a loop for each
 *   clock             the one reading for all of them */
static inline __attribute__((always_inline)) void put_all(struct spate_producer *producer, struct sp_writer *writer,
                                                          const struct spate_record *records, uint32_t count, uint32_t size,
                                                          bool is_stamped, int64_t clock,
                                                          void (*copy)(void *to, const void *from, size_t size))
{
    const uint64_t word = writer->word, stride = writer->stride;
    uint64_t stamp = sp_stamp(writer->offset, writer->salt);
    uint8_t *at = sp_writer_at(writer);

    for (uint32_t i = 0; i < count; i++) {
        const int64_t timestamp = producer->timestamp == SPATE_TIMESTAMP_CALLER ? records[i].timestamp : clock;
        sp_writer_fetch_ahead(at, size);
        sp_writer_put(at, word, stamp, is_stamped ? &timestamp : NULL, records[i].value, size, copy);
        at += stride;
        stamp += SP_STAMP_STEP;
    }
    writer->offset += count;
}

/* A batch of plain records of one size, on the fast path. Returns false, with nothing done, when it is none or has no room. */
static inline __attribute__((always_inline)) bool append_batch(struct spate_producer *producer, struct sp_lane *lane,
                                                               const struct spate_record *records, uint32_t count,
                                                               void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_writer *writer = &lane->writer;
    const uint32_t size = writer->value_size;

    for (uint32_t i = 0; i < count; i++)
        if (!sp_record_is_plain(&records[i]) || records[i].value_size != size)
            return false;
    if (count * writer->stride > writer->ring->record_size_max || sp_writer_reserve(writer, count * writer->stride) != 0 ||
        !sp_writer_enter(writer))
        return false;
    if (lane->line_shape != SP_NO_SHAPE)
        put_all(producer, writer, records, count, SP_LINE_VALUE, false, 0, copy_line);
    else if (writer->has_timestamp)
        put_all(producer, writer, records, count, size, true, sp_producer_clock(producer, lane), sp_copy_words);
    else
        put_all(producer, writer, records, count, size, false, 0, copy_short);
    sp_writer_leave(writer);
    return true;
}

static int __attribute__((noinline)) publish_batch_slowly(spate_producer *producer, const struct spate_record *records,
                                                          uint32_t count, int64_t timeout, int64_t *ret_offset)
{
    int64_t deadline = -1;
    int error;

    while ((error = sp_producer_claim_batch(producer, records, count, NULL, ret_offset)) != 0) {
        error = wait_for_room(producer, error, timeout, &deadline);
        if (error)
            return error;
    }
    struct sp_lane *lane = producer->open;
    (void)spate_commit(producer);
    if (records[0].value && sp_producer_learn(producer, lane, &records[0]))
        producer->quick = lane;
    return 0;
}

/* The next two are for records of the shape that `quick` has learnt: without a timestamp, and with. */
static int __attribute__((noinline))
publish_short(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct sp_lane *lane = producer->quick;

    if (SP_UNLIKELY(!sp_writer_append(&lane->writer, NULL, record->value, record->value_size, copy_short)))
        return publish_otherwise(producer, record, timeout, ret_offset);
    return appended(producer, lane, 1, ret_offset);
}

static int __attribute__((noinline))
publish_stamped(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct sp_lane *lane = producer->quick;

    if (SP_UNLIKELY(lane->writer.offset >= lane->writer.offset_end)) /* before the clock is read in vain */
        return publish_otherwise(producer, record, timeout, ret_offset);
    const int64_t timestamp = sp_producer_timestamp(producer, lane, record);
    if (SP_UNLIKELY(!sp_writer_append(&lane->writer, &timestamp, record->value, record->value_size, copy_short)))
        return publish_otherwise(producer, record, timeout, ret_offset);
    return appended(producer, lane, 1, ret_offset);
}

/* Other sizes than a line's, and timestamps. It only chooses, so that it need not save registers. */
static int __attribute__((noinline))
publish_alike(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    const struct sp_lane *lane = producer && record ? producer->quick : NULL;

    if (SP_UNLIKELY(!lane || sp_record_head(record) != lane->shape || !sp_record_is_plain(record)))
        return publish_otherwise(producer, record, timeout, ret_offset);
    return lane->writer.has_timestamp ? publish_stamped(producer, record, timeout, ret_offset)
                                      : publish_short(producer, record, timeout, ret_offset);
}

/* The two fast paths. With size and copy as constants the first is one straight line: no call, no loop, no saved register. */
static inline __attribute__((always_inline)) int publish_one(spate_producer *producer, const struct spate_record *record,
                                                             int64_t timeout, int64_t *ret_offset,
                                                             void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_lane *lane = SP_LIKELY(producer && record) ? producer->quick : NULL;

    if (SP_UNLIKELY(!lane || sp_record_head(record) != lane->line_shape || record->value_size != SP_LINE_VALUE ||
                    !sp_record_is_plain(record) || !sp_writer_append(&lane->writer, NULL, record->value, SP_LINE_VALUE, copy_line)))
        return publish_alike(producer, record, timeout, ret_offset);
    return appended(producer, lane, 1, ret_offset);
}

static inline __attribute__((always_inline)) int publish_many(spate_producer *producer, const struct spate_record *records,
                                                              uint32_t count, int64_t timeout, int64_t *ret_offset,
                                                              void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_lane *lane = SP_LIKELY(count - 1 < SPATE_BATCH_MAX) ? sp_producer_find_quick(producer, records) : NULL;

    if (SP_UNLIKELY(!lane || !append_batch(producer, lane, records, count, copy_line)))
        return publish_batch_slowly(producer, records, count, timeout, ret_offset);
    return appended(producer, lane, count, ret_offset);
}

/* Both for one width of stores. */
#define PUBLISH(linkage, one, many, width, target)                                                                            \
    SP_COPY_LINE(one##_copy, width, target)                                                                                   \
    target linkage int one(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset) \
    {                                                                                                                         \
        return publish_one(producer, record, timeout, ret_offset, one##_copy);                                                \
    }                                                                                                                         \
    target linkage int many(spate_producer *producer, const struct spate_record *records, uint32_t count, int64_t timeout,    \
                            int64_t *ret_offset)                                                                              \
    {                                                                                                                         \
        return publish_many(producer, records, count, timeout, ret_offset, one##_copy);                                       \
    }

#if defined(__x86_64__) && defined(__GLIBC__) && !SP_SANITIZED
PUBLISH(static, publish_16, publish_batch_16, 16, )
PUBLISH(static, publish_32, publish_batch_32, 32, __attribute__((target("avx2"))))
PUBLISH(static, publish_64, publish_batch_64, 64, __attribute__((target("avx512f"))))

/* Called by the dynamic linker, before anything else of this library. */
static int width(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
}

static __attribute__((used)) __typeof__(spate_publish) *choose_publish(void)
{
    return width() == 64 ? publish_64 : width() == 32 ? publish_32 : publish_16;
}

static __attribute__((used)) __typeof__(spate_publish_batch) *choose_publish_batch(void)
{
    return width() == 64 ? publish_batch_64 : width() == 32 ? publish_batch_32 : publish_batch_16;
}

int spate_publish(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
    __attribute__((ifunc("choose_publish")));
int spate_publish_batch(spate_producer *producer, const struct spate_record *records, uint32_t count, int64_t timeout,
                        int64_t *ret_offset) __attribute__((ifunc("choose_publish_batch")));
#else
PUBLISH(, spate_publish, spate_publish_batch, 16, )
#endif
