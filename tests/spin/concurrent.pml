/* concurrent.pml: concurrent mode: claim, commit, verdict, repair, reuse, with a death before every store. Run by tests/spin/run.
 *
 * Models src/ring/: claim_concurrent, sp_writer_extend and commit (writer.c); poll and what a stuck reader does (reader.c, bus/poll.c);
 * relate, next_boundary, sp_ring_judge, repair_range, repair_producer (repair.c). One step of the model is one load or store of a shared
 * word.
 *
 * TWO WAYS TO CLAIM. The default is an *exact INTENT*: the claim is a compare-and-swap from the very tail that the INTENT names, so a
 * slot in INTENT(s) owns the bytes from s or none, and nothing but s has to be looked at. -DFETCH_ADD is a fetch-add, as src/ring had it
 * at commit a769497: the INTENT is only a lower bound. The model shows that this cannot be judged exactly once two producers die between
 * INTENT and CLAIMED; `run` keeps it among the planted bugs. The differences of the default from that commit:
 *     claim      always compare-and-swap; when it fails, IDLE and look again. No claimed_offset, no `reserve`, no small_size_max, for a
 *                check cannot be overtaken
 *     relate     an INTENT concerns a place only if it names it. The claim is read again also when its owner lives: or else a repairer
 *                takes the extent of the owner's next claim for that of this one, and steps over a dead claim behind it
 *     next_boundary  a slot whose claim changed meanwhile is read again, not left out
 *     judge      after the stamp the tail is looked at again: a place that is a ring behind was overwritten, and is END (a stale INTENT).
 *                (The code looks at `reserved`, by E5: it is never less than the tail, and never more than a ring beyond a claim that is
 *                not committed. Here nothing is announced ahead of claims.)
 *     repair     a dead INTENT(s): only the place s
 *     reader     no memory of where its verdicts began: each covers exactly one claim, and so does each aborted record
 *
 * WORDS. Positions count cells, records take 1 or 2, no position wraps its byte; index = position % CAP.
 *     tail_pos, tail_off        the packed tail: one word, so always read and changed in one step
 *     stamp[], word_size[], word_gone[], payload[]   per cell: stamp as offset + 1 (0: none yet), size and count of an aborted record
 *                               (0: a data record) from the header's second word, and the content, which names claimant and offset
 *     s_owner[], live[]         the owner word as a generation, and which generation the kernel's locks say is alive (0: none). A death
 *                               changes nothing but `live`
 *     s_phase[], s_pos[]        the claim word, one step. s_size[], s_count[]: the extent word. s_seen[], s_claimed[]: the offset words
 *     read_position             of the one consumer, a gate. reserved: what writers announced
 *     g_*[]                     ghosts, by offset: the place, size, claimant and fate of each record. Only assertions look at them
 *
 * Memory is sequentially consistent: the orders that weaker machines need are argued on paper, by the edges E1..E13 of ring.h. Payload
 * and second header word are one store, view_slot (extent and offset) and owner-with-liveness one load each: nothing distinguishes their
 * parts, or the claim word is read again behind them. Deaths are placed before stores only: one between two loads leaves the same bytes.
 * Left out: exclusive mode (exclusive.pml), aborting one's own claim (a commit of another word), marks, bases and packing (arithmetic:
 * unit tests), consumers that skip or come later, chunks of soft_limit (the model's are one claim, the tightest), sleeping, eviction,
 * detaching, damaged memory, the bound of 16 tries in relate (as many as it takes).
 *
 * HOLDS, by assertions: what the consumer reads is whole, has its claimant's content, and comes at its place and offset; it passes over
 * no committed record; each verdict and aborted record covers only dead, uncommitted claims and ends where the next claim begins; a slot
 * is freed only with all its claims committed or aborted; no cell is overwritten before the consumer released it and its claim was
 * resolved; DAMAGED is never reached; once nobody is left, the consumer gets to the tail and the repairer frees every slot (WAIT is
 * allowed only for a producer that stopped alive); and a reader that comes after the last repair finds everything stamped, in the same
 * places.
 *
 * Options, numbers as in `run`:
 *     NP producers, CLAIMS each, of GENS generations; MORTALS: the first so many may die, DEATHS times in all; RDEATHS deaths of the
 *     repairer; ONCE: those who may die claim once. STOPS producers may stop for ever. CAP cells.
 *     SPACE: the ring is lapped (without it CAP is large enough for all claims)
 *     KIND21, KIND22: claims also of one record of 2 cells, of two of 1. BYSLOT: slot 0 claims 2 cells, the others 1
 *     ATOMIC_READER, ATOMIC_REPAIR: this one's verdict is one step, to keep the other's affordable. A verdict writes nothing, so the two
 *     meet only through what the repairer writes, and that stays in steps */
#ifdef FETCH_ADD
#if !defined(RES) && defined(SPACE)
#define RES NP
#endif
#endif
#ifndef NP
#define NP 2
#endif
#ifndef CAP
#define CAP 8
#endif
#ifndef CLAIMS
#define CLAIMS 1
#endif
#ifndef GENS
#define GENS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef RDEATHS
#define RDEATHS 1
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef MORTALS
#define MORTALS NP
#endif
#ifdef ONCE
#define TURNS (me < MORTALS -> 1 : CLAIMS)
#else
#define TURNS CLAIMS
#endif
#ifndef MAXO
#define MAXO 8
#endif
#ifndef RES
#define RES 0
#endif

#if CLAIMS == 1 && GENS == 1
#define FIRST_ONLY
#endif

#define IDLE 0
#define INTENT 1
#define CLAIMED 2

#define V_END 0
#define V_READY 1
#define V_WAIT 2
#define V_DEAD 3
#define V_DAMAGED 4

#define G_NONE 0
#define G_CLAIMED 1
#define G_COMMITTED 2
#define G_ABORTED 3

byte tail_pos, tail_off;
byte stamp[CAP], word_size[CAP], word_gone[CAP], payload[CAP];
byte s_owner[NP], s_phase[NP], s_pos[NP], s_size[NP], s_count[NP], s_seen[NP], s_claimed[NP];
byte live[NP];
byte read_position, reserved;

byte deaths, rdeaths, stops, running;
bit ring_lock;
byte g_pos[MAXO], g_size[MAXO], g_own[MAXO], g_state[MAXO];

#ifndef FETCH_ADD
#define OFFSET_WORD(i, phase) s_seen[i]
#else
#define OFFSET_WORD(i, phase) (phase == CLAIMED -> s_claimed[i] : s_seen[i])
#endif
#ifndef FETCH_ADD
#define IS_CAS 1
#elif defined(SMALL)
#define IS_CAS (sz > SMALL)
#else
#define IS_CAS 0
#endif
#define OWN(slot, gen) ((slot) * 4 + (gen))
#define COMMITTED(p, o) (stamp[(p) % CAP] == (o) + 1)
#define ALIVE(i) (s_owner[i] != 0 && s_owner[i] == live[i])
#define CONTENT(o) (g_own[o] * 16 + (o) + 1)
#define IS_BOUNDARY(p, o) (((o) < tail_off && g_pos[o] == (p)) || ((o) == tail_off && (p) == tail_pos))

#define DIE :: atomic { deaths < DEATHS && me < MORTALS -> deaths++; live[me] = 0; goto died }
#if STOPS
#define STOP :: atomic { stops < STOPS -> stops++; goto stopped }
#else
#define STOP
#endif
#define STEP(x) if :: atomic { x } DIE STOP fi

inline ghost_claim(p, o, sz, ct) {
    k = 0;
    do
    :: k < ct -> assert(o + k < MAXO); g_pos[o + k] = p + k; g_size[o + k] = (ct == 1 -> sz : 1); g_own[o + k] = OWN(me, gen);
        g_state[o + k] = G_CLAIMED; k++
    :: else -> break
    od;
    k = 0
}

inline ghost_overwrite(p, sz) {
    k = 0;
    do
    :: k < MAXO -> assert(g_state[k] != G_CLAIMED || p + sz <= g_pos[k] + CAP); k++
    :: else -> break
    od;
    k = 0;
    assert(p + sz <= read_position + CAP)
}

inline fill() {
    k = 0;
    do
    :: k < sz -> payload[(sp + k) % CAP] = CONTENT((ct == 1 -> so : so + k));
       if
       :: k < ct -> word_size[(sp + k) % CAP] = (ct == 1 -> sz : 1); word_gone[(sp + k) % CAP] = 0
       :: else
       fi;
       k++
    :: else -> break
    od;
    k = 0;
    ghost_overwrite(sp, sz)
}

#ifdef BUG_FRONTIER
#define FRONTIER_ALL if :: read_position < f -> f = read_position :: else fi
#else
#define FRONTIER_ALL \
    do \
    :: k < NP -> if :: s_phase[k] != IDLE && s_pos[k] < f -> f = s_pos[k] :: else fi; k++ \
    :: else -> k = 0; break \
    od; \
    if :: read_position < f -> f = read_position :: else fi
#endif

proctype producer(byte me)
{
    byte gen = 1, n, sz, ct, sp, so, soft, k, f;

begin:
    n = 0;
    do
    :: n < TURNS ->
        n++;
        if
#ifdef BYSLOT
        :: atomic { me == 0 -> sz = 2; ct = 1 }
        :: atomic { me != 0 -> sz = 1; ct = 1 }
#else
        :: atomic { sz = 1; ct = 1 }
#endif
#ifdef KIND21
        :: atomic { sz = 2; ct = 1 }
#endif
#ifdef KIND22
        :: atomic { sz = 2; ct = 2 }
#endif
        fi;
#ifdef FIRST_ONLY
look:
        STEP(s_size[me] = sz; s_count[me] = ct; sp = tail_pos; so = tail_off);
#else
        STEP(s_size[me] = sz; s_count[me] = ct);
look:
        atomic { sp = tail_pos; so = tail_off };
#endif
#ifdef SPACE
        if
        :: sp + sz + RES > soft ->
            atomic {
                f = sp;
                FRONTIER_ALL;
                if
                :: sp + sz + RES > f + CAP -> f = 0; goto look
                :: else -> if :: reserved < sp + sz + RES -> reserved = sp + sz + RES :: else fi; f = sp
                fi
            };
#ifndef BUG_FRONTIER
            do
            :: atomic { k < NP -> if :: s_phase[k] != IDLE && s_pos[k] < f -> f = s_pos[k] :: else fi; k++ }
            :: atomic { k >= NP -> k = 0; break }
            od;
#endif
            atomic {
                if :: read_position < f -> f = read_position :: else fi;
                f = (f + CAP < reserved -> f + CAP : reserved);
                if
                :: sp + sz + RES > f -> f = 0; goto look
                :: else -> soft = f; f = 0
                fi
            }
        :: else
        fi;
#endif
#ifndef FIRST_ONLY
        STEP(s_seen[me] = so);
#endif
#ifndef BUG_INTENT_LATE
        STEP(s_phase[me] = INTENT; s_pos[me] = sp; s_seen[me] = so);
#endif
        if
        :: atomic { (!(IS_CAS) || tail_pos == sp) -> sp = tail_pos; so = tail_off; tail_pos = tail_pos + sz;
            tail_off = tail_off + ct; ghost_claim(sp, so, sz, ct) }
        :: atomic { (IS_CAS) && tail_pos != sp }; STEP(s_phase[me] = IDLE; s_pos[me] = 0); goto look
        DIE STOP
        fi;
#ifdef BUG_INTENT_LATE
        STEP(s_phase[me] = INTENT; s_pos[me] = sp; s_seen[me] = so);
#endif
#ifdef FETCH_ADD
        STEP(s_claimed[me] = so);
#endif
        STEP(s_phase[me] = CLAIMED; s_pos[me] = sp);
#ifndef BUG_STAMP_FIRST
        STEP(fill());
#endif
#ifdef BUG_IDLE_FIRST
        STEP(s_phase[me] = IDLE; s_pos[me] = 0);
#endif
        STEP(stamp[sp % CAP] = so + 1; g_state[so] = G_COMMITTED);
#ifdef KIND22
        if
        :: ct == 2 -> STEP(stamp[(sp + 1) % CAP] = so + 2; g_state[so + 1] = G_COMMITTED)
        :: else
        fi;
#endif
#ifdef BUG_STAMP_FIRST
        STEP(fill());
#endif
#ifndef BUG_IDLE_FIRST
        STEP(s_phase[me] = IDLE; s_pos[me] = 0);
#endif
        atomic { sz = 0; ct = 0; sp = 0; so = 0 }
    :: else -> break
    od;
    if
    :: skip
    DIE
    fi;
    goto finished;
died:
    atomic { n = 0; sz = 0; ct = 0; sp = 0; so = 0; soft = 0; k = 0; f = 0 };
#if GENS > 1
    if
    :: atomic { gen < GENS && s_owner[me] == 0 && !ring_lock -> gen++; s_owner[me] = gen; live[me] = gen; goto begin }
    :: atomic { gen >= GENS }
    fi;
#endif
#if STOPS
stopped:
#endif
finished:
    atomic { n = 0; sz = 0; ct = 0; sp = 0; so = 0; soft = 0; k = 0; f = 0; gen = 0; running-- }
}

#define JUDGE_VARS byte pp, po, v, v_size, v_count, o_size, o_count, jt, jo, ii, ph, ps, ws, wc, wo, dead_intents, live_intents, \
    least, dead_claimed, e, eo

#ifndef FETCH_ADD
#define NEAR (ph == INTENT && ps == pp || ph == CLAIMED && ps <= pp)
#else
#define NEAR (ph != IDLE && ps <= pp)
#endif
#define VIEW ws = s_size[ii]; wc = s_count[ii]; wo = OFFSET_WORD(ii, ph)

inline judge()
{
    atomic { jt = tail_pos; jo = tail_off; v = V_END; dead_intents = 0; live_intents = 0; dead_claimed = 0; least = 255; ii = 0;
        v_size = 0; v_count = 0; o_size = 0; o_count = 0 };
    if
    :: atomic { jt <= pp -> if :: COMMITTED(pp, po) -> v = V_READY :: else fi }
    :: atomic { jt > pp };
        do
        :: atomic { ii < NP && v == V_END -> ph = s_phase[ii]; ps = s_pos[ii] };
            if
            :: atomic { !NEAR -> ii++ }
            :: atomic { NEAR -> VIEW };
                if
                :: atomic { ph == CLAIMED && pp - ps >= ws -> ii++ }
                :: atomic { !(ph == CLAIMED && pp - ps >= ws) && ALIVE(ii) };
#ifndef BUG_NO_REREAD
                    if
                    :: atomic { s_phase[ii] != ph || s_pos[ii] != ps }
                    :: atomic { s_phase[ii] == ph && s_pos[ii] == ps } ;
#endif
                    if
                    :: atomic { ph == INTENT -> live_intents++; ii++ }
                    :: atomic { ph == CLAIMED -> o_size = ps + ws - pp; o_count = wo + wc - po;
                        if :: COMMITTED(pp, po) -> v = V_READY :: else -> v = V_WAIT fi }
                    fi
#ifndef BUG_NO_REREAD
                    fi
#endif
                :: atomic { !(ph == CLAIMED && pp - ps >= ws) && !ALIVE(ii) };
#ifndef BUG_EXTENT_EARLY
                    if
                    :: atomic { s_phase[ii] != ph || s_pos[ii] != ps }
                    :: atomic { s_phase[ii] == ph && s_pos[ii] == ps };
                        atomic { VIEW };
#endif
                        atomic {
                        if
                        :: ph == CLAIMED && pp - ps >= ws
                        :: ph == CLAIMED && pp - ps < ws -> dead_claimed = 1; v_size = ps + ws - pp; v_count = wo + wc - po
                        :: ph == INTENT -> dead_intents++;
                            if :: ws < least -> least = ws :: else fi;
                            if :: !dead_claimed -> v_size = ws; v_count = wc :: else fi
                        fi;
                        ii++ }
#ifndef BUG_EXTENT_EARLY
                    fi
#endif
                fi
            fi;
        :: atomic { ii >= NP || v != V_END -> ii = 0; break }
        od;
        if
#ifdef BUG_NO_SECOND_LOOK
        :: atomic { v == V_READY || v == V_WAIT }
        :: atomic { v == V_END };
#else
        :: atomic { v == V_READY || v == V_WAIT || COMMITTED(pp, po) -> if :: v == V_END -> v = V_READY :: else fi }
        :: atomic { v == V_END && !COMMITTED(pp, po) };
#endif
            if
#ifndef BUG_STALE_INTENT
            :: atomic { tail_pos > pp + CAP }
            :: atomic { tail_pos <= pp + CAP };
            if
#endif
            :: atomic { dead_claimed -> v = V_DEAD }
            :: atomic { !dead_claimed && live_intents -> v = V_WAIT }
#ifdef BUG_TWO_INTENTS
            :: atomic { !dead_claimed && !live_intents -> v = (dead_intents -> V_DEAD : V_DAMAGED) }
#else
            :: atomic { !dead_claimed && !live_intents && dead_intents <= 1 -> v = (dead_intents -> V_DEAD : V_DAMAGED) }
            :: atomic { !dead_claimed && !live_intents && dead_intents > 1 -> e = jt; eo = jo };
                do
                :: atomic { ii < NP -> ph = s_phase[ii]; ps = s_pos[ii] };
                    atomic { VIEW };
                    if
#ifndef BUG_NO_REREAD
                    :: atomic { s_phase[ii] != ph || s_pos[ii] != ps }
#endif
                    :: atomic {
#ifndef BUG_NO_REREAD
                        (s_phase[ii] == ph && s_pos[ii] == ps) ->
#endif
                        if :: ph != IDLE && ps > pp && ps < e && wo >= po && wo <= jo && s_phase[ii] == ph &&
                            s_pos[ii] == ps -> e = ps; eo = wo :: else fi; ii++ }
                    fi
                :: atomic { ii >= NP -> ii = 0; break }
                od;
                do
                :: atomic { least < e - pp && least < CAP ->
                    if
                    :: stamp[(pp + least) % CAP] > po && stamp[(pp + least) % CAP] - 1 - po <= least &&
                        stamp[(pp + least) % CAP] - 1 < eo ->
                        eo = stamp[(pp + least) % CAP] - 1; e = pp + least
                    :: else -> least++
                    fi }
                :: atomic { !(least < e - pp && least < CAP) -> break }
                od;
                atomic { v = V_DEAD; v_size = e - pp; v_count = eo - po }
#endif
            fi
#ifndef BUG_STALE_INTENT
            fi
#endif
        fi
    fi;
    atomic { assert(v != V_DEAD || (v_count >= 1 && v_size <= CAP && v_count <= v_size));
        jt = 0; jo = 0; ii = 0; ph = 0; ps = 0; ws = 0; wc = 0; wo = 0; dead_intents = 0; live_intents = 0; dead_claimed = 0;
            least = 0; e = 0; eo = 0;
        if :: v != V_DEAD -> v_size = 0; v_count = 0 :: else fi;
        if :: v != V_WAIT -> o_size = 0; o_count = 0 :: else fi }
}

/* every offset of [po, po + count) was claimed by somebody who is dead, and never committed */
inline check_dead(size, count)
{
    q = 0;
    do
    :: q < count ->
        assert(po + q < tail_off);
        assert(g_state[po + q] != G_COMMITTED);
        assert(live[g_own[po + q] / 4] != g_own[po + q] % 4);
        q++
    :: else -> break
    od;
    q = 0;
    assert(IS_BOUNDARY(pp, po));
    assert(IS_BOUNDARY(pp + size, po + count))
}

#ifndef FETCH_ADD
#define NOTE_VERDICT skip
#define NOTE_TO skip
#define CATCH_UP skip
#else
#define NOTE_VERDICT if :: to != pp || to == 0 -> from = pp; from_off = po :: else fi
#define NOTE_TO to = pp
#define CATCH_UP \
    if \
    :: to != pp || to == 0 \
    :: to == pp && to != 0 -> \
        fp = from; fo = from_off; \
        do \
        :: fp < pp && COMMITTED(fp, fo) -> fo = fo + (word_gone[fp % CAP] -> word_gone[fp % CAP] : 1); fp = fp + word_size[fp % CAP] \
        :: !(fp < pp && COMMITTED(fp, fo)) -> break \
        od; \
        if :: fp > pp -> pp = fp; po = fo; to = pp; assert(IS_BOUNDARY(pp, po)) :: else fi; \
        fp = 0; fo = 0 \
    fi
#endif

proctype consumer()
{
    JUDGE_VARS;
    byte q;
    bit quiet;
#ifdef FETCH_ADD
    byte from, from_off, to, fp, fo;
#endif

    do
    :: atomic { COMMITTED(pp, po) };
        atomic {
            assert(g_pos[po] == pp);
            if
            :: word_gone[pp % CAP] ->
                check_dead(word_size[pp % CAP], word_gone[pp % CAP]);
                q = word_gone[pp % CAP]
            :: else ->
                assert(g_state[po] == G_COMMITTED);
                assert(word_size[pp % CAP] == g_size[po]);
                assert(payload[pp % CAP] == CONTENT(po));
                assert(payload[(pp + g_size[po] - 1) % CAP] == CONTENT(po));
                q = 1
            fi;
            po = po + q;
            pp = pp + word_size[pp % CAP] - 0;
            q = 0
        };
#ifdef SPACE
        read_position = pp
#else
        read_position = 0
#endif
    :: atomic { !COMMITTED(pp, po) && (tail_pos > pp || running == 0) -> quiet = (running == 0); CATCH_UP };
#ifdef ATOMIC_READER
        atomic { judge() };
#else
        judge();
#endif
        if
        :: atomic { v == V_DEAD -> check_dead(v_size, v_count); NOTE_VERDICT; pp = pp + v_size; po = po + v_count; v_size = 0;
            v_count = 0; v = 0; quiet = 0; NOTE_TO };
#ifdef SPACE
            read_position = pp
#endif
        :: atomic { v == V_READY -> v = 0; quiet = 0 }
        :: atomic { v == V_DAMAGED -> q = pp; CATCH_UP; assert(pp != q); q = 0; v = 0; quiet = 0 }
        :: atomic { v == V_WAIT -> o_size = 0; o_count = 0; v = 0; assert(!quiet || stops); if :: quiet -> break :: else fi }
        :: atomic { v == V_END -> v = 0; assert(!quiet || (pp == tail_pos && po == tail_off)); if :: quiet -> break :: else fi }
        fi
    od
}

#define RDIE :: atomic { rdeaths < RDEATHS -> rdeaths++; goto reset }

#if defined(SPACE) && defined(FETCH_ADD)
#define OLDEST
#define TOO_OLD (reserved > CAP && pp < reserved - CAP)
#else
#define TOO_OLD false
#endif

inline repair_range()
{
    do
    :: atomic { pp >= r_end -> break }
#ifdef OLDEST
    :: atomic { pp < r_end && reserved > CAP && pp < reserved - CAP ->
        pp = reserved - CAP;
        do
        :: pp < tail_pos && !(stamp[pp % CAP] != 0 && stamp[pp % CAP] - 1 < tail_off &&
            tail_off - stamp[pp % CAP] + 1 <= tail_pos - pp) -> pp++
        :: else -> break
        od;
        po = (pp < tail_pos -> stamp[pp % CAP] - 1 : tail_off) }
#endif
    :: atomic { pp < r_end && !TOO_OLD && COMMITTED(pp, po) ->
        q = (word_gone[pp % CAP] -> word_gone[pp % CAP] : 1);
        po = po + q; q = 0; pp = pp + word_size[pp % CAP] }
    :: atomic { pp < r_end && !TOO_OLD && !COMMITTED(pp, po) };
#ifdef ATOMIC_REPAIR
        atomic { judge() };
#else
        judge();
#endif
        if
        :: atomic { v == V_END -> break }
        :: atomic { v == V_DAMAGED -> assert(false) }
        :: atomic { v == V_READY -> v = 0 }
        :: atomic { v == V_WAIT && o_size == 0 -> unresolved = 1; break }
#ifndef FETCH_ADD
        :: atomic { v == V_WAIT && o_size != 0 -> if :: r_ph == INTENT -> break :: else -> pp = pp + o_size; po = po + o_count fi;
            o_size = 0; o_count = 0; v = 0 }
#else
        :: atomic { v == V_WAIT && o_size != 0 -> pp = pp + o_size; po = po + o_count; o_size = 0; o_count = 0; v = 0 }
#endif
        :: atomic { v == V_DEAD ->
            check_dead(v_size, v_count);
            word_size[pp % CAP] = v_size; word_gone[pp % CAP] = v_count };
            if
            :: atomic { stamp[pp % CAP] = po + 1;
                q = 0;
                do
                :: q < v_count -> g_state[po + q] = G_ABORTED; q++
                :: else -> break
                od;
                q = 0 }
            RDIE
            fi;
            if
            :: atomic { pp = pp + v_size; po = po + v_count; v = 0; v_size = 0; v_count = 0 }
            RDIE
            fi
        fi
    od
}

#define SLOT_DEAD(i) (s_owner[i] != 0 && s_owner[i] != live[i])
#if NP == 2
#define SOMEBODY_DEAD (SLOT_DEAD(0) || SLOT_DEAD(1))
#else
#define SOMEBODY_DEAD (SLOT_DEAD(0) || SLOT_DEAD(1) || SLOT_DEAD(2))
#endif

proctype repairer()
{
    JUDGE_VARS;
    byte q, r, r_end, r_ph;
    bit unresolved, quiet, left;

again:
    if
    :: atomic { SOMEBODY_DEAD -> ring_lock = 1; quiet = (running == 0) }
    :: atomic { running == 0 && !SOMEBODY_DEAD -> goto over }
    fi;
    do
    :: atomic { r < NP && !SLOT_DEAD(r) -> r++ }
    :: atomic { r < NP && SLOT_DEAD(r) -> r_ph = s_phase[r]; pp = s_pos[r]; po = OFFSET_WORD(r, r_ph);
        r_end = (r_ph == CLAIMED -> pp + s_size[r] : tail_pos); unresolved = 0 };
#ifdef BUG_FREE_FIRST
        if :: atomic { s_phase[r] = IDLE; s_pos[r] = 0 } fi;
        if :: atomic { s_owner[r] = 0 } RDIE fi;
#endif
        if
#ifndef FETCH_ADD
        :: atomic { r_ph != IDLE && tail_pos - pp <= CAP };
#else
        :: atomic { r_ph != IDLE && tail_pos > pp };
#endif
#ifndef FETCH_ADD
            if :: atomic { r_ph == INTENT && tail_pos > pp -> r_end = pp + 1 } :: else fi;
#endif
            repair_range()
        :: else
        fi;
        if
        :: unresolved -> left = 1
        :: !unresolved ->
#ifndef BUG_FREE_FIRST
            if :: atomic { s_phase[r] = IDLE; s_pos[r] = 0 } RDIE fi;
            if :: atomic { s_owner[r] = 0 } RDIE fi;
#endif
            d_step {
                q = 0;
                do
                :: q < MAXO -> assert(g_state[q] != G_CLAIMED || g_own[q] / 4 != r || live[r] == g_own[q] % 4); q++
                :: else -> break
                od;
                q = 0
            }
        fi;
        atomic { r++; pp = 0; po = 0; v = 0; r_ph = 0; r_end = 0; unresolved = 0; v_size = 0; v_count = 0; o_size = 0; o_count = 0 }
    :: atomic { r >= NP -> break }
    od;
    atomic { assert(!quiet || !left || stops); ring_lock = 0; r = 0; if :: quiet && left -> goto over :: else fi; quiet = 0;
        left = 0; goto again };
reset:
    atomic { ring_lock = 0; pp = 0; po = 0; v = 0; v_size = 0; v_count = 0; o_size = 0; o_count = 0; q = 0; r = 0; r_end = 0;
        r_ph = 0; unresolved = 0; quiet = 0; left = 0; goto again };
over:
    skip
#if !defined(SPACE) && !STOPS
    d_step {
        pp = 0; po = 0;
        do
        :: pp < tail_pos ->
            assert(COMMITTED(pp, po));
            assert(g_pos[po] == pp);
            assert((word_gone[pp % CAP] -> g_state[po] == G_ABORTED : g_state[po] == G_COMMITTED));
            po = po + (word_gone[pp % CAP] -> word_gone[pp % CAP] : 1);
            pp = pp + word_size[pp % CAP]
        :: else -> break
        od;
        assert(pp == tail_pos && po == tail_off);
        pp = 0; po = 0
    }
#endif
}

init {
    atomic {
        byte i = 0;
        do
        :: i < NP -> s_owner[i] = 1; live[i] = 1; running++; run producer(i); i++
        :: else -> break
        od;
        run consumer();
        run repairer()
    }
}
