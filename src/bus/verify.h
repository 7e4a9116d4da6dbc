/* verify.h: what the files of spate_verify share: verify.c (bus, topics, files), verify_ring.c (words of a ring and its
 * cursors) and verify_walk.c (records).
 *
 * An invariant is a *rule*: a short name and a function that looks at a subject and says whether it holds, and if not, why. On
 * a live bus values move while they are looked at, so a rule reads each value once, in an order in which honest processes can
 * only make it hold; and one that seems broken is looked at three times, some milliseconds apart, before it is reported. Used
 * by one thread. */
#ifndef SP_BUS_VERIFY_H
#define SP_BUS_VERIFY_H

#include "bus/internal.h"

#define SP_DETAIL_SIZE sizeof(((struct spate_violation *)0)->detail)

struct sp_verify {
    struct spate_bus *bus;
    struct spate_verify_result result;
    int (*visit)(void *, const struct spate_violation *);
    void *context;
    int stopped; /* what `visit` returned to end the walk */
    int error;   /* the first that kept us from looking at something, with its text */
    char text[256];
    uint32_t naps_left; /* a bus that is damaged all over is not worth waiting for */
    char file[SPATE_TOPIC_NAME_MAX + 64];
};

/* What a rule looks at; it uses the fields that its kind of subject has. */
struct sp_subject {
    struct sp_registry *registry;
    const struct sp_file_header *header; /* of a file that is mapped whole, of `size` bytes */
    uint64_t magic, size;
    const struct spate_topic_info *topic;
    const char *name; /* of the topic as its directory says */
    uint32_t partition;
    const struct sp_ring *ring;
    uint32_t index; /* of a slot, mark, participant... */
};

typedef bool (*sp_rule_function)(const struct sp_subject *, char *detail);
struct sp_rule {
    const char *name;
    sp_rule_function holds;
};

/* sp_verify_rule: look, up to three times; report when it does not hold. sp_verify_rules: all of a table, ended by a NULL
 * name; false at the first that does not hold, or go on to the end (`all`). */
bool sp_verify_rule(struct sp_verify *verify, const struct sp_rule *rule, const struct sp_subject *subject);
bool sp_verify_rules(struct sp_verify *verify, const struct sp_rule *rules, bool all, const struct sp_subject *subject);

/* sp_verify_report: a violation of the file that is being looked at. sp_verify_nap: the time between two looks. */
void sp_verify_report(struct sp_verify *verify, const char *rule, const char *format, ...) __attribute__((format(printf, 3, 4)));
void sp_verify_nap(struct sp_verify *verify);

/* sp_broken: keep the reason; returns false, so that it can end a rule. */
bool sp_broken(char *detail, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* sp_is_known_owner: 0, or a word that some participant has or had. Takes E11; call it with a word read before. */
bool sp_is_known_owner(const struct sp_registry *registry, uint64_t owner);

/* sp_verify_ring: all rules of one partition that is attached to look. sp_verify_walk: those about its records. `file` names
 * the ring. */
void sp_verify_ring(struct sp_verify *verify, const struct spate_topic *topic, uint32_t partition, const struct sp_ring *ring);
void sp_verify_walk(struct sp_verify *verify, const struct sp_subject *subject);

#endif
