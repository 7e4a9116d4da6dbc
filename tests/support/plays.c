/* plays.c: the acts, and the child process around them.
 *
 * Everything that is not the act happens before the first marker, values included. What the victim knows it has done, it says in
 * the shared page, with plain stores within the stepped region: the checker may believe it at any step. */
#include "plays.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spate/inspect.h"

#define SMALL 100u /* with header and timestamp two units of 64 bytes */
#define VICTIM_NAME "victim"
#define ALONE 64u   /* so many records in a row make a producer take the bias with the next (ALONE_ENOUGH in ring/writer.c) */
#define LARGE 2500u /* more than what a fetch-add may claim in a ring of 64 KiB: compare-and-swap */

void (*play_hook)(struct victim *victim);

static void done(struct victim *victim, uint32_t count)
{
    atomic_fetch_add_explicit(&victim->scene->page->of[victim->index].done, count,
                              memory_order_relaxed); /* relaxed: read after death */
}

static int act_publish(struct victim *victim)
{
    int error = spate_publish(victim->producer, victim->records, 0, NULL);
    if (!error)
        done(victim, 1);
    return error;
}

static int act_publish_batch(struct victim *victim)
{
    int error = spate_publish_batch(victim->producer, victim->records, victim->play->count, 0, NULL);
    if (!error)
        done(victim, victim->play->count);
    return error;
}

static int claim(struct victim *victim)
{
    struct spate_claim claim;
    int error = spate_claim(victim->producer, victim->records, &claim);
    if (!error)
        memcpy(claim.value, victim->values[0], claim.value_size);
    return error;
}

static int act_claim_commit(struct victim *victim)
{
    int error = claim(victim);
    if (!error)
        error = spate_commit(victim->producer);
    if (!error)
        done(victim, 1);
    return error;
}

static int act_abort(struct victim *victim)
{
    int error = claim(victim);
    return error ? error : spate_abort(victim->producer);
}

static void check_views(struct victim *victim, const struct spate_record *records, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t writer;
        uint32_t sequence;
        if (!ledger_read(records[i].value, records[i].value_size, &writer, &sequence))
            atomic_fetch_add(&victim->scene->page->of[victim->index].torn, 1);
    }
}

static int act_poll(struct victim *victim)
{
    struct spate_record records[4];
    int n = spate_poll(victim->consumer, records, 4, 0);
    check_views(victim, records, n);
    return n < 0 ? n : 0;
}

/* Nothing to read: it looks, sleeps, and looks again. */
static int act_poll_sleeping(struct victim *victim)
{
    struct spate_record records[4];
    int n = spate_poll(victim->consumer, records, 4, 50000);
    check_views(victim, records, n);
    return n == -ETIMEDOUT || n >= 0 ? 0 : n;
}

static int act_release(struct victim *victim)
{
    return spate_release(victim->consumer);
}

static int act_bus_open(struct victim *victim)
{
    return spate_bus_open(victim->scene->dir, NULL, &victim->bus);
}

static int act_topic_open(struct victim *victim)
{
    return spate_topic_open(victim->bus, SCENE_TOPIC, &victim->topic);
}

static int act_consumer_open(struct victim *victim)
{
    struct spate_consumer_options options;
    spate_consumer_options_init(&options);
    options.start = SPATE_START_BEGINNING;
    return spate_consumer_open(victim->topic, &options, &victim->consumer);
}

static int act_producer_close(struct victim *victim)
{
    spate_producer_close(victim->producer);
    return 0;
}

static int act_consumer_close(struct victim *victim)
{
    spate_consumer_close(victim->consumer);
    return 0;
}

static int act_bus_close(struct victim *victim)
{
    spate_producer_close(victim->producer);
    spate_topic_close(victim->topic);
    spate_bus_close(victim->bus);
    return 0;
}

/* The bus and the topic that plays make, besides those of the scene. */
#define MADE "made"

/* Small: what its victims leave behind stays in memory until gc. */
static int make_topic(spate_bus *bus)
{
    struct spate_topic_config config;
    spate_topic_config_init(&config);
    config.ring_capacity = SPATE_RING_MIN;
    return spate_topic_create(bus, MADE, &config);
}

static int act_topic_create(struct victim *victim)
{
    return make_topic(victim->bus);
}

static int act_topic_delete(struct victim *victim)
{
    return spate_topic_delete(victim->bus, MADE, 0);
}

static int act_bus_create(struct victim *victim)
{
    char path[128];
    snprintf(path, sizeof path, "%s/~" MADE, victim->scene->dir);
    return spate_bus_open(path, NULL, &victim->bus);
}

#define C SPATE_MODE_CONCURRENT
#define E SPATE_MODE_EXCLUSIVE
#define BUS PLAY_OPEN_BUS
#define TOPIC (BUS | PLAY_OPEN_TOPIC)
#define PRODUCER (TOPIC | PLAY_OPEN_PRODUCER)
#define LANE (PRODUCER | PLAY_OPEN_LANE)
#define CONSUMER (TOPIC | PLAY_OPEN_CONSUMER)

const struct play plays[] = {
    {"publish small", C, PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish small, rival", C, PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish small, rival, wrap", C, PLAY_RIVAL | PLAY_WRAP | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish large", C, 0, LARGE, 1, LANE, act_publish},
    {"publish large, rival", C, PLAY_RIVAL | PLAY_STOP, LARGE, 1, LANE, act_publish},
    {"publish large, rival, wrap", C, PLAY_RIVAL | PLAY_WRAP, LARGE, 1, LANE, act_publish},
    {"publish to a sleeper", C, PLAY_SLEEPER, SMALL, 1, LANE, act_publish},
    {"publish small, exclusive", E, PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish small, exclusive, wrap", E, PLAY_WRAP, SMALL, 1, LANE, act_publish},
    {"publish large, exclusive", E, 0, LARGE, 1, LANE, act_publish},
    {"publish large, exclusive, wrap", E, PLAY_WRAP, LARGE, 1, LANE, act_publish},
    {"publish batch", C, PLAY_STOP, SMALL, 8, LANE, act_publish_batch},
    {"publish batch, rival, wrap", C, PLAY_RIVAL | PLAY_WRAP, SMALL, 8, LANE, act_publish_batch},
    {"publish batch, exclusive", E, 0, SMALL, 8, LANE, act_publish_batch},
    {"publish batch, exclusive, wrap", E, PLAY_WRAP | PLAY_STOP, SMALL, 8, LANE, act_publish_batch},
    {"claim, commit, rival", C, PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_claim_commit},
    {"claim, commit, exclusive", E, 0, SMALL, 1, LANE, act_claim_commit},
    {"claim, abort, rival", C, PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_abort},
    {"claim, abort, exclusive", E, 0, SMALL, 1, LANE, act_abort},
    {"claim, commit, exclusive, again", E, PLAY_AGAIN, SMALL, 1, LANE, act_claim_commit},
    {"claim, abort, exclusive, again", E, PLAY_AGAIN, SMALL, 1, LANE, act_abort},
    {"publish small, biased", C, PLAY_BIASED | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish small, biased, rival", C, PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish batch, biased, rival", C, PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 8, LANE, act_publish_batch},
    {"claim, commit, biased, rival", C, PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_claim_commit},
    {"claim, abort, biased, rival", C, PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_abort},
    {"claim, commit, biased, again, rival", C, PLAY_AGAIN | PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_claim_commit},
    {"claim, abort, biased, again, rival", C, PLAY_AGAIN | PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_abort},
    {"publish, taking the bias, rival", C, PLAY_ASKS | PLAY_RIVAL | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish, revoking a bias", C, PLAY_REVOKES | PLAY_STOP, SMALL, 1, LANE, act_publish},
    {"publish batch, revoking a bias", C, PLAY_REVOKES, SMALL, 8, LANE, act_publish_batch},
    {"poll", C, PLAY_FEED | PLAY_STOP, 0, 0, CONSUMER, act_poll},
    {"poll, sleeping", C, PLAY_ATTACH, 0, 0, CONSUMER, act_poll_sleeping},
    {"release", C, PLAY_FEED | PLAY_STOP, 0, 0, CONSUMER | PLAY_OPEN_VIEWS, act_release},
    {"bus open", C, PLAY_ATTACH | PLAY_STOP, 0, 0, 0, act_bus_open},
    {"topic open", C, PLAY_ATTACH | PLAY_STOP, 0, 0, BUS, act_topic_open},
    {"first claim", C, PLAY_ATTACH | PLAY_STOP, SMALL, 1, PRODUCER, act_publish},
    {"first claim, exclusive", E, PLAY_ATTACH, SMALL, 1, PRODUCER, act_publish},
    {"first claim, repairing a corpse", C, PLAY_ATTACH | PLAY_CORPSE, SMALL, 1, PRODUCER, act_publish},
    {"publish, repairing a full ring", C, PLAY_ATTACH | PLAY_CORPSE | PLAY_FULL, SMALL, 1, LANE, act_publish},
    {"bus create", C, PLAY_ATTACH | PLAY_MAKE, 0, 0, 0, act_bus_create},
    {"topic create", C, PLAY_ATTACH | PLAY_MAKE, 0, 0, BUS, act_topic_create},
    {"topic delete", C, PLAY_ATTACH | PLAY_MAKE, 0, 0, BUS, act_topic_delete},
    {"consumer open", C, PLAY_ATTACH | PLAY_STOP | PLAY_FEED, 0, 0, TOPIC, act_consumer_open},
    {"producer close", C, PLAY_ATTACH | PLAY_STOP, SMALL, 0, LANE, act_producer_close},
    {"producer close with a claim", C, PLAY_ATTACH | PLAY_STOP, SMALL, 1, LANE | PLAY_OPEN_CLAIM, act_producer_close},
    {"producer close, exclusive", E, PLAY_ATTACH, SMALL, 0, LANE, act_producer_close},
    {"producer close, biased, rival", C, PLAY_BIASED | PLAY_RIVAL | PLAY_STOP, SMALL, 0, LANE, act_producer_close},
    {"consumer close", C, PLAY_ATTACH | PLAY_STOP, 0, 0, CONSUMER, act_consumer_close},
    {"bus close", C, PLAY_ATTACH | PLAY_STOP, SMALL, 0, LANE, act_bus_close},
};
const int plays_count = sizeof plays / sizeof plays[0];

const struct play *play_find(const char *name)
{
    for (int i = 0; i < plays_count; i++)
        if (strcmp(plays[i].name, name) == 0)
            return &plays[i];
    fprintf(stderr, "there is no play \"%s\"\n", name);
    abort();
}

uint64_t play_holes_max(const struct play *play)
{
    return play->mode == SPATE_MODE_CONCURRENT ? play->count + (play->flags & PLAY_CORPSE ? 1u : 0u) : 0;
}

static void next_value(struct victim *victim, uint32_t slot, bool starts)
{
    const uint32_t size = victim->play->size;
    ledger_fill(victim->values[slot], size, victim->scene->writer + (uint64_t)victim->index, victim->sequence);
    victim->records[slot] = (struct spate_record){.partition = 0, .value = victim->values[slot], .value_size = size};
    if (starts) {
        victim->sequence++;
        atomic_fetch_add(&victim->scene->page->of[victim->index].started, 1);
    }
}

static int open_producer(struct victim *victim)
{
    struct spate_producer_options options;
    spate_producer_options_init(&options);
    options.name = VICTIM_NAME;
    return spate_producer_open(victim->topic, &options, &victim->producer);
}

static int prepare(struct victim *victim)
{
    struct spate_record views[4];
    const struct play *play = victim->play;
    int error = 0;

    if (play->open & PLAY_OPEN_BUS)
        error = act_bus_open(victim);
    if (!error && play->open & PLAY_OPEN_TOPIC)
        error = act_topic_open(victim);
    if (!error && play->open & PLAY_OPEN_PRODUCER)
        error = open_producer(victim);
    if (!error && play->open & PLAY_OPEN_LANE) {
        const uint32_t before = play->flags & PLAY_BIASED ? ALONE + 6 : play->flags & PLAY_ASKS ? ALONE : 1;
        for (uint32_t i = 0; i < before && !error; i++) {
            next_value(victim, 0, true);
            error = act_publish(victim);
        }
        for (uint32_t i = 0; i < 3 && !error && play->flags & PLAY_AGAIN; i++) {
            next_value(victim, 0, true);
            error = act_claim_commit(victim);
        }
    }
    if (!error && play->open & PLAY_OPEN_CONSUMER)
        error = spate_consumer_open(victim->topic, NULL, &victim->consumer);
    if (play->act == act_release) { /* the feed of the last round is there in any case */
        (void)spate_seek(victim->consumer, SPATE_ANY, SPATE_START_LAST, 4);
        int n = spate_poll(victim->consumer, views, 4, 0);
        error = n < 0 ? n : 0;
    }
    for (uint32_t i = 0; i < play->count; i++)
        next_value(victim, i, play->act != act_abort && !(play->open & PLAY_OPEN_CLAIM));
    if (!error && play->open & PLAY_OPEN_CLAIM)
        error = claim(victim);
    return error;
}

static void body(void *context)
{
    struct victim *victim = context;

    if (play_hook)
        play_hook(victim);
    int error = prepare(victim);
    if (error) {
        fprintf(stderr, "victim of \"%s\": %s (%s)\n", victim->play->name, strerror(-error), spate_last_error());
        _exit(1);
    }
    tracer_marker();
    int result = victim->play->act(victim);
    atomic_store_explicit(&victim->scene->page->of[victim->index].result, result,
                          memory_order_relaxed); /* relaxed: read after death */
    tracer_marker();
}

bool play_spawn(struct scene *scene, const struct play *play, int index, const struct trace *trace, struct tracee *ret)
{
    static struct victim victim;

    victim = (struct victim){.play = play, .scene = scene, .index = index};
    if (tracer_spawn(ret, body, &victim, trace))
        return true;
    scene_violation(scene, "victim %d could not prepare itself (status %x)", index, (unsigned)ret->status);
    return false;
}

/* A producer with an open claim, alive until `bury`. */
static bool lay_out(struct scene *scene, struct tracee *ret)
{
    static const struct play corpse = {"corpse", C, 0, SMALL, 1, PRODUCER | PLAY_OPEN_CLAIM, act_abort};
    return play_spawn(scene, &corpse, SCENE_VICTIMS_MAX - 1, NULL, ret);
}

/* It dies before anything else happens; with PLAY_FULL after the rival went as far as it let it. */
static void bury(struct scene *scene, const struct play *play, struct tracee *corpse)
{
    int error = play->flags & PLAY_FULL ? 0 : -EAGAIN;

    while (error == 0) {
        error = scene_publish(scene, scene->rival, 40, 0);
        if (scene->published % 16 == 0 || error)
            scene_read(scene, 0);
        if (error) /* once more: it may have been the witness who was in the way */
            error = scene_publish(scene, scene->rival, 40, 0);
    }
    tracer_kill(corpse);
    tracer_reap(corpse);
    if (play->flags & PLAY_FULL) /* so that nothing but the corpse is in the way */
        (void)scene_read_until(scene, scene->newest);
}

bool play_set(struct scene *scene, const struct play *play, int victims, const struct trace *trace, struct tracee *ret)
{
    const uint32_t unit = 64, warm = 128;
    struct tracee corpse;

    if (play->act == act_topic_delete && make_topic(scene->bus) != 0)
        scene_violation(scene, "%s", spate_last_error());
    if (play->flags & PLAY_WRAP && play->mode == E) /* then nobody else can pad later */
        scene_pad(scene, unit + (play->size == SMALL ? warm : (play->size + 24 + unit) / unit * unit));
    if (play->flags & PLAY_CORPSE && !(play->flags & PLAY_FULL) && lay_out(scene, &corpse))
        bury(scene, play, &corpse);
    for (int i = 0; i < victims; i++)
        if (!play_spawn(scene, play, i, trace, &ret[i])) {
            for (int j = 0; j < i; j++) {
                tracer_kill(&ret[j]);
                tracer_reap(&ret[j]);
            }
            return false;
        }
    if (play->flags & PLAY_FULL && lay_out(scene, &corpse))
        bury(scene, play, &corpse);
    scene_read(scene, 0);
    if (play->flags & PLAY_WRAP && play->mode == C)
        scene_pad(scene, unit);
    if (play->flags & PLAY_REVOKES)
        scene_bias(scene, ALONE + 6);
    for (int i = 0; play->flags & PLAY_FEED && i < 6; i++)
        (void)scene_publish(scene, scene->rival, 40 + 8 * (uint32_t)i, 0);
    scene_read(scene, 0);
    if (play->flags & PLAY_SLEEPER)
        scene_sleeper(scene);
    return !scene->broken;
}

/* What was half made can be made, used and removed. */
static void check_made(struct scene *scene, const struct play *play)
{
    char path[128];
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    spate_producer *producer = NULL;
    const struct spate_record record = {.partition = 0, .value = "42", .value_size = 2};

    snprintf(path, sizeof path, "%s/~" MADE, scene->dir);
    int error = spate_bus_open(play->act == act_bus_create ? path : scene->dir, NULL, &bus);
    if (!error) {
        error = make_topic(bus);
        if (error == -EEXIST)
            error = 0;
    }
    if (!error)
        error = spate_topic_open(bus, MADE, &topic);
    if (!error)
        error = spate_producer_open(topic, NULL, &producer);
    if (!error)
        error = spate_publish(producer, &record, SCENE_BOUND, NULL);
    spate_producer_close(producer);
    spate_topic_close(topic);
    if (!error)
        error = spate_topic_delete(bus, MADE, 0);
    if (error)
        scene_violation(scene, "what was half made cannot be used: %s (%s)", strerror(-error), spate_last_error());
    struct spate_gc_result collected;
    if (!error && spate_gc(bus, &collected) != 0)
        scene_violation(scene, "spate_gc: %s", spate_last_error());
    spate_bus_close(bus);
    if (play->act == act_bus_create)
        scene_remove(path);
}

static void learn(void *context, uint32_t step)
{
    struct play_steps *steps = context;
    if (scene_changed(steps->scene) && steps->stores < PLAY_STORES_MAX)
        steps->store[steps->stores++] = step;
}

bool play_learn(struct scene *scene, const struct play *play, struct play_steps *ret)
{
    struct tracee tracee;

    scene_round(scene, 1);
    scene->step[0] = 0;
    ret->scene = scene;
    ret->stores = 0;
    if (!play_set(scene, play, 1, NULL, &tracee))
        return false;
    (void)scene_changed(scene);
    tracer_record(&tracee, &ret->trace, learn, ret);
    int result = atomic_load(&scene->page->of[0].result);
    if (tracee.state != TRACEE_FINISHED || result != 0)
        scene_violation(scene, "left alone, it ends with %d (status %x)", result, (unsigned)tracee.status);
    scene->step[0] = ret->trace.total;
    scene_after_death(scene, &tracee, false, play_holes_max(play));
    if (play->flags & PLAY_MAKE && !scene->broken)
        check_made(scene, play);
    return !scene->broken;
}

bool play_kill(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step, bool fresh_first)
{
    struct tracee tracee;

    scene_round(scene, 1);
    scene->step[0] = step;
    if (!play_set(scene, play, 1, trace, &tracee))
        return false;
    if (play->flags & PLAY_RIVAL) {
        tracer_advance(&tracee, (uint32_t)(scene_random(scene) % (step + 1)));
        for (uint64_t n = 1 + scene_random(scene) % 3; n; n--)
            (void)scene_publish(scene, scene->rival, 40 + (uint32_t)(scene_random(scene) % 100), 0); /* no room: then not */
    }
    tracer_advance(&tracee, step);
    bool inside = tracee.state == TRACEE_STEPPING;
    scene_after_death(scene, &tracee, fresh_first, play_holes_max(play));
    if (play->flags & PLAY_MAKE && !scene->broken)
        check_made(scene, play);
    return inside;
}

struct found {
    bool stalled, others; /* the victim is named; somebody else is */
};

static int find_stalled(void *context, const struct spate_producer_info *info)
{
    struct found *found = context;
    if (info->stalled && strcmp(info->name, VICTIM_NAME) == 0) /* not by its pid, which may be of another namespace */
        found->stalled = true;
    else if (info->stalled)
        found->others = true;
    return 0;
}

/* The rival has no room: who is said to be in the way? */
static void check_named(struct scene *scene, const struct play *play)
{
    struct found found = {0};

    if (play->count == 0) /* a live gate: nothing is stalled, producers wait for it as they should */
        return;
    int error = spate_inspect_ring(scene->topic, 0, NULL, find_stalled, NULL, &found);
    if (error || !found.stalled || found.others)
        scene_violation(scene, "the stopped owner is %snamed as stalled%s (%d)", found.stalled ? "" : "not ",
                        found.others ? ", and so is another" : "", error);
}

/* More than a lap, or until there is no room for 3 ms. Returns whether it was blocked. */
static bool go_round(struct scene *scene)
{
    int64_t since = 0;

    for (uint32_t bytes = 0; bytes < SCENE_RING + SCENE_RING / 2 && !scene->broken;) {
        uint32_t size = LEDGER_VALUE_MIN + (uint32_t)(scene_random(scene) % 400);
        int error = scene_publish(scene, scene->rival, size, 0);
        if (error == 0) {
            bytes += size;
            since = 0;
            continue;
        }
        if (error != -EAGAIN) {
            scene_violation(scene, "the rival's publish: %s", spate_last_error());
            return false;
        }
        scene_read(scene, 0);
        if (since == 0)
            since = scene_now();
        else if (scene_now() - since > 3000000)
            return true;
    }
    scene_read(scene, 0);
    return false;
}

/* Nobody else may produce to an exclusive topic while its producer lives, stopped or not. */
static bool try_exclusive(struct scene *scene)
{
    spate_producer *producer;

    if (spate_producer_open(scene->topic, NULL, &producer) != 0) {
        scene_violation(scene, "%s", spate_last_error());
        return false;
    }
    int error = scene_publish(scene, producer, 40, 0);
    if (error != -EBUSY)
        scene_violation(scene, "a second producer of an exclusive partition gets %d, not -EBUSY", error);
    spate_producer_close(producer);
    return true;
}

bool play_stop(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step)
{
    struct tracee tracee;
    const uint64_t holes = play->mode == C && (play->act == act_abort || play->open & PLAY_OPEN_CLAIM) ? 1 : 0;
    bool blocked = false;

    scene_round(scene, 1);
    scene->step[0] = step;
    if (!play_set(scene, play, 1, trace, &tracee))
        return false;
    if (play->flags & PLAY_RIVAL) {
        tracer_advance(&tracee, (uint32_t)(scene_random(scene) % (step + 1)));
        (void)scene_publish(scene, scene->rival, 100, 0);
    }
    tracer_advance(&tracee, step);
    if (tracee.state == TRACEE_STEPPING) {
        tracer_suspend(&tracee);
        blocked = scene->rival ? go_round(scene) : try_exclusive(scene);
        if (blocked && scene->rival && !scene->broken)
            check_named(scene, play);
        if (!tracer_resume(&tracee, SCENE_BOUND))
            scene_violation(scene, "it does not go on after SIGCONT (state %d, status %x)", tracee.state, (unsigned)tracee.status);
        scene_read(scene, 0);
        if (!scene->broken && atomic_load(&scene->page->of[0].result) != 0)
            scene_violation(scene, "after SIGCONT its call gives %d", atomic_load(&scene->page->of[0].result));
        if (!scene->broken && atomic_load(&scene->page->of[0].done) != atomic_load(&scene->page->of[0].started))
            scene_violation(scene, "after SIGCONT not everything was published");
    }
    scene_after_death(scene, &tracee, false, holes);
    return blocked;
}
