/* bias.pml: a producer that owns the tail of a concurrent ring, and how it loses it. Run by tests/spin/run.
 *
 * Models src/ring: sp_writer_enter, _append, _settle, _leave; claim_concurrent; sp_writer_ask_bias and _hold_bias; sp_ring_revoke_bias and
 * _end_bias (writer.c, bias.c). One step is one load or store of a shared word.
 *
 *   tail             the tail word. Every record is one cell, so it is position and offset in one; no cell is used twice (no laps)
 *   stamp[]          whether the cell is committed
 *   phase[]          of each producer: the phase of its claim word
 *   bias, gen        the bias word: NONE, or whose it is and how: ASKED, HELD, REVOKED; and its generation: one word, always one step
 *   buffer[]         the store of `phase` that is not visible yet: whoever holds the bias stores it and loads `bias` without a fence. It
 *                    becomes visible at any later time, at its next store, or at a membarrier of another. All other memory is
 *                    sequentially consistent, as x86 is but for this
 *   writer_of[]      ghost: who wrote the cell
 *
 * A producer may die before each of its stores. What it has claimed then is repaired as in concurrent.pml; here it just stays uncommitted.
 *
 * Holds: no cell is written by two; the tail never goes back, and never passes a cell that was not claimed through it or appended; at the
 * end every committed cell lies below where the next claim would begin, and whoever is alive got all its claims. */
#ifndef NP
#define NP 2
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#define CELLS (NP * CLAIMS + 1)
#define GENS 4

mtype = { IDLE, INTENT, INSIDE, CLAIMED };
mtype = { NONE, ASKED, HELD, REVOKED };

byte tail, gen, deaths;
mtype bias = NONE;
byte bias_of;
mtype phase[NP] = IDLE;
mtype buffer[NP] = IDLE;
bit buffered[NP], dead[NP];
bit stamp[CELLS];
byte writer_of[CELLS];
byte done;

#define FLUSH(i) phase[i] = (buffered[i] -> buffer[i] : phase[i]); buffered[i] = 0
/* What a dead owner wrote behind the tail and did not commit is as if it never was. */
#define DIE \
    deaths++; FLUSH(me); dead[me] = 1; \
    if :: holds && tail <= here && !stamp[here] -> writer_of[here] = 0 :: else fi; \
    goto over
#define STEP(x) if :: atomic { FLUSH(me); x } :: atomic { deaths < DEATHS -> DIE } fi

#ifdef BUG_NO_BARRIER
#define MEMBARRIER skip
#else
#define MEMBARRIER atomic { for (k : 0 .. NP - 1) { FLUSH(k) } ; k = 0 }
#endif

inline write_cell(c)
{
    assert(writer_of[c] == 0);
    writer_of[c] = me + 1
}

/* Everything from `from` on that is committed. */
inline walk(from, to)
{
    to = from;
    do
    :: atomic { to < CELLS && stamp[to] -> to++ }
    :: atomic { !(to < CELLS && stamp[to]) -> break }
    od
}

proctype producer(byte me)
{
    byte claims, here, seen, end, my_gen, k, b_gen, b_of;
    bit holds;
    mtype b;

    do
    :: claims == CLAIMS -> break
    :: claims < CLAIMS && holds -> /* append: the store is buffered, the load is not */
        atomic { FLUSH(me); buffer[me] = INSIDE; buffered[me] = 1 };
        if
        :: atomic { bias == HELD && bias_of == me && gen == my_gen -> skip };
            STEP(write_cell(here));
#ifdef BUG_LEAVES_EARLY
            STEP(phase[me] = IDLE);
#endif
            STEP(stamp[here] = 1);
            here++;
            claims++;
            if
            :: STEP(assert(tail <= here); tail = here) /* settled */
            :: skip
            fi;
            STEP(phase[me] = IDLE)
        :: atomic { !(bias == HELD && bias_of == me && gen == my_gen) -> holds = 0 };
            STEP(phase[me] = IDLE)
        fi
    :: claims < CLAIMS && holds -> /* a claim of another kind, with a plain store; settled before */
        atomic { FLUSH(me); buffer[me] = INSIDE; buffered[me] = 1 };
        if
        :: atomic { bias == HELD && bias_of == me && gen == my_gen -> skip };
            STEP(assert(tail <= here); tail = here);
            STEP(phase[me] = IDLE);
            atomic { FLUSH(me); buffer[me] = INTENT; buffered[me] = 1 };
            if
            :: atomic { bias == HELD && bias_of == me && gen == my_gen -> skip };
                STEP(assert(tail == here); tail = here + 1);
                STEP(phase[me] = CLAIMED);
                STEP(write_cell(here));
                STEP(stamp[here] = 1);
                here++;
                claims++;
                STEP(phase[me] = IDLE)
            :: atomic { !(bias == HELD && bias_of == me && gen == my_gen) -> holds = 0 };
                STEP(phase[me] = IDLE)
            fi
        :: atomic { !(bias == HELD && bias_of == me && gen == my_gen) -> holds = 0 };
            STEP(phase[me] = IDLE)
        fi
    :: claims < CLAIMS && !holds ->
        seen = tail;
        atomic { FLUSH(me); buffer[me] = INTENT; buffered[me] = 1 };
        atomic { b = bias; b_gen = gen; b_of = bias_of };
        if
        :: b == NONE ->
            if
            :: atomic { tail == seen -> FLUSH(me); tail = seen + 1 };
                STEP(phase[me] = CLAIMED);
                STEP(write_cell(seen));
                STEP(stamp[seen] = 1);
                claims++;
                STEP(phase[me] = IDLE)
            :: atomic { tail != seen -> FLUSH(me) };
                STEP(phase[me] = IDLE)
            fi;
        :: else ->
            STEP(phase[me] = IDLE);
            /* revoke */
            if
            :: b != REVOKED ->
                if
                :: STEP(if :: bias == b && gen == b_gen && bias_of == b_of -> bias = REVOKED :: else fi)
                fi
            :: else
            fi;
            atomic { b = bias; b_gen = gen; b_of = bias_of };
            if
            :: b == REVOKED ->
                MEMBARRIER;
                if
#ifdef BUG_ONLY_INSIDE
                :: (phase[b_of] != INSIDE || dead[b_of]) ->
#else
                :: (phase[b_of] != INSIDE && phase[b_of] != INTENT || dead[b_of]) ->
#endif
                    do
                    :: seen = tail;
#ifdef BUG_NO_WALK
                        end = seen;
#else
                        walk(seen, end);
#endif
                        if
                        :: atomic { !(bias == REVOKED && gen == b_gen) -> break } /* another has ended it */
                        :: atomic { bias == REVOKED && gen == b_gen -> skip }
                        fi;
                        if
                        :: end == seen ->
                            STEP(if :: bias == REVOKED && gen == b_gen -> bias = NONE :: else fi);
                            break
                        :: else -> STEP(if :: tail == seen -> tail = end :: else fi) /* and look again: a stale helper may have moved it */
                        fi
                    od
                :: else
                fi
            :: else
            fi
        fi
    :: claims < CLAIMS && !holds && bias == NONE && gen < GENS - 1 -> /* ask for it */
        STEP(if :: bias == NONE && gen < GENS - 1 -> gen++; bias = ASKED; bias_of = me; my_gen = gen :: else -> my_gen = GENS fi);
        if
        :: my_gen == GENS
        :: else ->
            MEMBARRIER;
            k = 0;
            seen = 1;
            do
            :: k < NP ->
                if
                :: k != me && !dead[k] && (phase[k] == INTENT || phase[k] == INSIDE) -> seen = 0
                :: else
                fi;
                k++
            :: else -> k = 0; break
            od;
            if
#ifdef BUG_NO_SCAN
            :: true ->
#else
            :: seen ->
#endif
                STEP(if :: bias == ASKED && gen == my_gen -> bias = HELD; holds = 1 :: else fi);
                here = tail
#ifndef BUG_NO_SCAN
            :: else ->
                STEP(if :: bias == ASKED && gen == my_gen -> bias = NONE :: else fi)
#endif
            fi
        fi
    :: claims < CLAIMS && holds -> /* give it up */
        atomic { FLUSH(me); buffer[me] = INSIDE; buffered[me] = 1 };
        if
        :: atomic { bias == HELD && bias_of == me && gen == my_gen -> skip };
            STEP(tail = here);
            STEP(if :: bias == HELD && gen == my_gen -> bias = NONE :: else fi)
        :: atomic { !(bias == HELD && bias_of == me && gen == my_gen) -> skip }
        fi;
        holds = 0;
        STEP(phase[me] = IDLE)
    od;
over:
    atomic { FLUSH(me); done++ }
}

init {
    byte i, end;

    atomic { for (i : 0 .. NP - 1) { run producer(i) } };
    done == NP;
    /* what a last claimant would do */
    end = tail;
    if
    :: bias != NONE -> walk(tail, end)
    :: else
    fi;
    for (i : 0 .. CELLS - 1) {
        assert(!stamp[i] || i < end);
        assert(i >= end || writer_of[i] != 0 || deaths > 0)
    }
}
