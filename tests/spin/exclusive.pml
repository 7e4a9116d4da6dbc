/* exclusive.pml: exclusive mode, and the takeover of a ring whose producer died. Run by tests/spin/run.
 *
 * Models src/ring: sp_writer_append, sp_writer_claim and sp_writer_commit_batch with mode exclusive, sp_writer_settle, the walk of
 * sp_ring_tail, sp_reader_poll, sp_ring_judge.
 *
 *   stamp[], word[]    a record's first two words in each cell; word is its payload: which generation wrote it, and its offset.
 *                      A record is one cell, a claim one or two records
 *   tail               the tail word. Every record is one cell, so it is position and offset in one. It is stored now and then only
 *                      (sp_writer_settle): after each claim, or not
 *   read_position      of the one consumer, a gate
 *   committed[]        ghost: the word of the record that was stamped at this offset. No process looks at it, only assertions
 *
 * A producer may die before each of its stores, also in the takeover; the next generation takes over then (the lease is a kernel lock, so
 * there are never two). Memory is sequentially consistent: that stamp precedes tail also on weaker machines is the matter of E1 and E3 in
 * ring.h. Left out: reserved and marks (they hold nobody up here), skipping consumers, sleeping.
 *
 * Holds: a stamped record is never written again; the consumer sees each once, in order, with its content, and reaches the end; no cell is
 * overwritten that it did not release; nothing below the tail is uncommitted (that would be the verdict DAMAGED). */
#ifndef CAP
#define CAP 3
#endif
#ifndef GENS
#define GENS 4
#endif
#define RECORDS 7 /* so many offsets there are; two laps and one */
#define BATCH 2

#define COMMITTED(p) (stamp[(p) % CAP] == (p) + 1)
#define WORD(p) (gen * 16 + (p))

byte stamp[CAP], word[CAP], committed[RECORDS];
byte tail, read_position, gen;
bit over;

#define STEP(x) if :: atomic { x } :: atomic { gen < GENS -> goto died } fi

inline fill(p)
{
    assert(committed[p] == 0);
    assert(p < read_position + CAP);
    word[(p) % CAP] = WORD(p)
}

inline put_stamp(p)
{
    stamp[(p) % CAP] = (p) + 1;
    committed[p] = word[(p) % CAP]
}

active proctype producer()
{
    byte at, count, i;

takeover:
    atomic { gen++; at = tail; i = 0 };
#ifndef BUG_NO_WALK
    do
    :: atomic { at < RECORDS && COMMITTED(at) -> at++ }
    :: atomic { !(at < RECORDS && COMMITTED(at)) -> break }
    od;
#endif
    STEP(tail = at);
    do
    :: at < RECORDS ->
        if
        :: count = 1
        :: at + 2 <= RECORDS && CAP >= 2 -> count = 2
        fi;
        at + count <= read_position + CAP; /* the claim: arithmetic, once the gate is far enough */
#ifdef BUG_TAIL_FIRST
        STEP(tail = at + count);
#endif
#ifndef BUG_STAMP_FIRST
        i = 0;
        do
        :: i < count -> STEP(fill(at + i)); i++
        :: else -> break
        od;
#endif
        i = 0;
        do
        :: i < count -> STEP(put_stamp(at + i));
#ifdef BUG_STAMP_FIRST
            STEP(fill(at + i));
#endif
            i++
        :: else -> break
        od;
        at = at + count;
        if
        :: STEP(tail = at)
#ifdef BUG_NEVER_SETTLED
        :: skip
#else
        :: at - tail < BATCH -> skip /* what is not settled yet, and the next claim, must stay within the ring */
#endif
        fi;
        count = 0; i = 0
    :: else -> break
    od;
    over = 1;
    goto done;
died:
    atomic { at = 0; count = 0; i = 0; goto takeover };
done:
    skip
}

active proctype consumer()
{
    byte next, seen;

    do
    :: next < RECORDS ->
        if
        :: COMMITTED(next) ->
            /* a second look at the stamp is not needed: the gate holds the cell */
            atomic { assert(word[next % CAP] == committed[next]); assert(word[next % CAP] % 16 == next); next++ };
            read_position = next
        :: atomic { !COMMITTED(next) && tail > next -> seen = tail };
            assert(COMMITTED(next) || seen <= next) /* judge: not DAMAGED */
        fi
    :: else -> break
    od;
    over; /* with nobody left to go on, to stay here is an invalid end state, and so is a consumer that never gets to RECORDS */
    assert(next >= tail)
}
