/* scene.h: a bus with a witness, on which victims are killed or stopped, and the promises that are checked afterwards.
 *
 * A scene is one bus in a directory of its own with one topic of one small ring (64 KiB, 4 producer slots, 4 consumer slots, so
 * that leaked slots and laps show at once). The calling process plays all who survive: the *witness*, a consumer that was
 * attached before and reads everything; the *rival*, a producer that was attached before (concurrent mode only); *fresh*
 * producers and *late* consumers that come afterwards. Victims are forked.
 *
 *     scene_open | { scene_round, victims are spawned and walked, scene_after_death } for each place | scene_close
 *
 * After a violation the bus is made anew, so that one violation is not reported a thousand times. One thread. */
#ifndef SP_TESTS_SUPPORT_SCENE_H
#define SP_TESTS_SUPPORT_SCENE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"
#include "spate/spate.h"
#include "tracer.h"

#define SCENE_RING 65536u
#define SCENE_SLOTS 4u /* producers_max and consumers_max */
#define SCENE_VICTIMS_MAX 3
#define SCENE_TOPIC "scene"
#define SCENE_BOUND ((int64_t)2000000000) /* ns: nothing may take longer; a promise is 10 ms, but the machine is shared */
#define SCENE_PROMISE ((int64_t)10000000)

/* Shared with the victims: what they know they have done. */
struct scene_page {
    struct {
        _Atomic uint32_t started; /* values that may be in the ring */
        _Atomic uint32_t done;    /* values whose publishing call returned: they must be */
        _Atomic int32_t result;   /* of the last call; 1: none yet */
        _Atomic uint32_t torn;    /* values that the victim read and that were not whole */
    } of[SCENE_VICTIMS_MAX];
};

struct scene {
    char dir[64];
    uint32_t mode; /* enum spate_mode */
    spate_bus *bus;
    spate_topic *topic;
    spate_consumer *witness;
    spate_producer *rival; /* NULL in exclusive mode */
    struct scene_page *page;
    struct ledger ledger;
    int64_t last;             /* offset the witness read last, or -1 */
    int64_t newest;           /* offset this process published last */
    uint64_t published, read; /* by this process: they end up equal */
    uint64_t holes;           /* in this round */
    uint64_t writer;          /* id of this round's first victim */
    uint32_t sequence;        /* of this process's next value */
    int victims;
    uint32_t seen[SCENE_VICTIMS_MAX]; /* values of each that the witness read */
    const char *what;                 /* for reports: which play, which steps */
    uint32_t step[SCENE_VICTIMS_MAX];
    bool quiet;  /* planted bugs: count, do not print */
    bool broken; /* a violation in this round */
    uint64_t violations, rounds;
    uint64_t astray;        /* victims that died somewhere else than meant */
    struct times delivered; /* kill -> next record delivered */
    struct times longest;   /* longest publish of the lap after it: where repairs fall */
    struct times attached;  /* kill -> published by a producer that attached afterwards */
    uint64_t random;
    char *snapshot;          /* scene_changed compares with it */
    spate_consumer *sleeper; /* waits for its descriptor, or NULL */
};

void scene_open(struct scene *scene, uint32_t mode, const char *what);
void scene_close(struct scene *scene);

/* scene_round: forget the last victims; the next ones have ids of their own. Makes the bus anew after a violation. */
void scene_round(struct scene *scene, int victims);

/* scene_violation: a promise was broken. */
__attribute__((format(printf, 2, 3))) void scene_violation(struct scene *scene, const char *format, ...);

/* scene_publish: one value of this process, by the rival or a fresh producer. Returns what spate_publish does. */
int scene_publish(struct scene *scene, spate_producer *producer, uint32_t size, int64_t timeout);

/* scene_read: let the witness read what there is; checks it. scene_read_until: until it read `offset`, or say that it does not
 * come. */
void scene_read(struct scene *scene, int64_t timeout);
bool scene_read_until(struct scene *scene, int64_t offset);

/* scene_pad: publish until the next record begins `before` bytes before the end of the ring (concurrent: by the rival; else by a
 * fresh producer). */
void scene_pad(struct scene *scene, uint32_t before);

/* scene_fresh: a producer that attaches now and publishes one value; waits for the death of an exclusive one. NULL after a
 * violation. */
spate_producer *scene_fresh(struct scene *scene);

/* scene_after_death: kill the victims and check all promises: delivery, a late consumer, a full lap, slots.
 *   fresh_first  the first to publish is a producer that attaches (and repairs before anybody reads), not the rival
 *   holes_max    offsets the victims may leave behind */
void scene_after_death(struct scene *scene, struct tracee *victims, bool fresh_first, uint64_t holes_max);

/* scene_late: a consumer that comes now reads from the beginning what the witness read. */
void scene_late(struct scene *scene);

/* scene_settle: the victims' values that the witness read, and the holes, are what they may be. */
void scene_settle(struct scene *scene, uint64_t holes_max);

/* scene_sleeper: a consumer that sleeps on its descriptor until after the next death; it has to be woken by the next record. */
void scene_sleeper(struct scene *scene);

/* scene_verify: let spate_verify look. */
void scene_verify(struct scene *scene);

/* scene_changed: whether any byte of the shared files changed since the last call. */
bool scene_changed(struct scene *scene);

/* scene_remove: a directory and all in it. */
void scene_remove(const char *path);

/* scene_bias: a new rival publishes `count` values, more than it takes to get the bias. */
void scene_bias(struct scene *scene, uint32_t count);

int64_t scene_now(void);
uint64_t scene_random(struct scene *scene);

#endif
