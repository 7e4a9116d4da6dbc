/* plays.h: what the victims of the crash tests do: a name, a preparation at full speed, and the act that is walked step by step.
 *
 * A play is run in a forked child on the scene's bus, as one of its victims; the act is what lies between the two markers of
 * tracer.h. Used by tests/crash/kill_test.c, stop_test.c and planted_hooked_test.c. */
#ifndef SP_TESTS_SUPPORT_PLAYS_H
#define SP_TESTS_SUPPORT_PLAYS_H

#include "scene.h"

enum play_flags {
    PLAY_RIVAL = 1,      /* the rival publishes once, at some step before the death */
    PLAY_WRAP = 2,       /* the act begins just before the end of the ring, in front of a new chunk */
    PLAY_FEED = 4,       /* the rival publishes before the act: something to read */
    PLAY_ATTACH = 8,     /* tens of thousands of steps: sampled, and stepped by gaps */
    PLAY_STOP = 16,      /* also stopped and resumed (stop_test.c) */
    PLAY_CORPSE = 32,    /* a producer died before, holding a claim */
    PLAY_FULL = 128,     /* with a corpse: the rival has filled the ring up to its claim */
    PLAY_MAKE = 256,     /* it makes or removes a bus or topic of its own */
    PLAY_SLEEPER = 64,   /* a consumer waits for its descriptor */
    PLAY_BIASED = 512,   /* it has the bias */
    PLAY_ASKS = 1024,    /* it takes the bias in the act */
    PLAY_REVOKES = 2048, /* the rival has the bias */
    PLAY_AGAIN = 4096,   /* the claim is one like those before */
};

struct victim {
    const struct play *play;
    struct scene *scene;
    int index;
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
    uint32_t sequence;
    struct spate_record records[16];
    uint8_t values[16][4096];
};

struct play {
    const char *name;
    uint32_t mode; /* enum spate_mode */
    uint32_t flags;
    uint32_t size;  /* of a value */
    uint32_t count; /* values of the act, at most 16: also how many offsets the claim covers. 0: it publishes nothing */
    uint32_t open;  /* what is open before the act, PLAY_OPEN_x */
    int (*act)(struct victim *);
};
enum {
    PLAY_OPEN_BUS = 1,
    PLAY_OPEN_TOPIC = 2,
    PLAY_OPEN_PRODUCER = 4,
    PLAY_OPEN_LANE = 8,
    PLAY_OPEN_CONSUMER = 16,
    PLAY_OPEN_VIEWS = 32,
    PLAY_OPEN_CLAIM = 64
};

extern const struct play plays[];
extern const int plays_count;
const struct play *play_find(const char *name);

/* play_hook: called in each victim before it opens anything, e.g. to plant a bug. */
extern void (*play_hook)(struct victim *victim);

/* play_spawn: victim `index` of the scene, at its first marker. False after a violation (it could not prepare itself). */
bool play_spawn(struct scene *scene, const struct play *play, int index, const struct trace *trace, struct tracee *ret);

/* play_holes_max: offsets that one death of this play may leave without a record. */
uint64_t play_holes_max(const struct play *play);

/* play_set: bring the scene where the play begins: victims spawned, the ring padded, records to read, the corpse. */
bool play_set(struct scene *scene, const struct play *play, int victims, const struct trace *trace, struct tracee *ret);

/* What a first run of a play shows: its steps, and which of them changed shared memory. */
#define PLAY_STORES_MAX 4096u
struct play_steps {
    struct scene *scene;
    struct trace trace;
    uint32_t stores;
    uint32_t store[PLAY_STORES_MAX];
};
bool play_learn(struct scene *scene, const struct play *play, struct play_steps *ret);

/* play_kill: one kill point: walk to the step (the rival publishing on the way), kill, check everything. Returns whether the act
 * was still going on. */
bool play_kill(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step, bool fresh_first);

/* play_stop: walk to the step, leave it there by SIGSTOP, let the others go round the ring, SIGCONT, check everything. Returns
 * whether the others had to wait for it. */
bool play_stop(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step);

#endif
