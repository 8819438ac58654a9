/*
 * The reservation of a permalink on several mail hosts, with a primary and a
 * replica of Redis, a failover, lost answers, journals and their replay.
 *
 * Three messages have one hash on one list. Each host sees each of them at most
 * once and reserves it: one in the order of their numbers, which is no loss, as
 * the messages are alike, and the other one in any order. What is checked, by the names of
 * registry/PROOF.md:
 *
 *   TOKEN     a token that a host was given names this message and no other
 *   JOURNAL   a message that was journalled holds the bare hash in the end, or
 *             is listed as a conflict
 *   AGREE     hosts that were given a token for one message were given the same
 *   SAME      hosts stamp the same token for one message. Not promised: a
 *             journalled message has the bare hash
 *
 * WAIT (min_replicas at the number of replicas), FAILOVER, and the promise to
 * check are defined by the test.
 */
#define MESSAGES 3
#define HOSTS 2

typedef slots { byte message[MESSAGES + 1] }  /* by ordinal; 0: free */
typedef host { byte given[MESSAGES + 1];      /* ordinals, by message */
	byte stamped[MESSAGES + 1];
	bool seen[MESSAGES + 1];
	bool journalled[MESSAGES + 1];
	bool conflict[MESSAGES + 1] }

slots primary, replica;
bool synced = true;   /* the replica follows the primary */
byte epoch;           /* failovers so far */
host hosts[HOSTS];
byte running = HOSTS;

/* reserve makes or finds the reservation of m on the primary, by one script. */
inline reserve(m, ordinal) {
	d_step {
		ordinal = 1;
		do
		:: primary.message[ordinal] == m || primary.message[ordinal] == 0 -> break
		:: else -> ordinal++
		od;
		primary.message[ordinal] = m
	}
}

/* acknowledged waits for the replica, or gives up. */
inline acknowledged(m, ordinal, at, ok) {
#ifdef WAIT
	if
	:: atomic { epoch == at && synced && replica.message[ordinal] == m -> ok = true }
	:: ok = false
	fi
#else
	atomic { ok = (epoch == at) }
#endif
}

/* ask reserves m. The question or the answer may be lost. */
inline ask(m, ordinal, ok) {
	ok = false;
	if
	:: skip       /* the question was lost */
	:: atomic { at = epoch; reserve(m, ordinal) };
		if
		:: skip   /* the answer was lost */
		:: acknowledged(m, ordinal, at, ok)
		fi
	fi
}

proctype mailhost(byte h) {
	byte m, ordinal, at;
	bool ok;
	do
	:: atomic {                                     /* a message arrives */
		if
		:: !hosts[h].seen[1] -> m = 1
		:: !hosts[h].seen[2] && (h == 1 || hosts[h].seen[1]) -> m = 2
		:: !hosts[h].seen[3] && (h == 1 || hosts[h].seen[2]) -> m = 3
		fi;
		hosts[h].seen[m] = true };
		ask(m, ordinal, ok);
		atomic {
			if
			:: ok -> hosts[h].given[m] = ordinal; hosts[h].stamped[m] = ordinal
			:: else -> hosts[h].journalled[m] = true; hosts[h].stamped[m] = 1
			fi;
			m = 0; ordinal = 0; at = 0; ok = false
		}
	:: atomic {                                     /* the journal is replayed */
		if
		:: hosts[h].journalled[1] -> m = 1
		:: hosts[h].journalled[2] -> m = 2
		:: hosts[h].journalled[3] -> m = 3
		fi };
		ask(m, ordinal, ok);
		atomic {
			if
			:: ok -> hosts[h].journalled[m] = false; hosts[h].given[m] = ordinal;
				hosts[h].conflict[m] = (ordinal != 1)
			:: else
			fi;
			m = 0; ordinal = 0; at = 0; ok = false
		}
	:: atomic { !hosts[h].journalled[1] && !hosts[h].journalled[2] && !hosts[h].journalled[3] -> break }
	od;
	running--
}

/* replication carries what the primary has to the replica, now and then. */
proctype replication() {
end:	do
	:: d_step { primary.message[1] != replica.message[1] || primary.message[2] != replica.message[2] ||
			primary.message[3] != replica.message[3] || !synced ->
		replica.message[1] = primary.message[1];
		replica.message[2] = primary.message[2];
		replica.message[3] = primary.message[3];
		synced = true }
	od
}

/* failover puts the replica into the primary's place. */
proctype failover() {
#ifdef FAILOVER
	if
	:: d_step { synced ->
		primary.message[1] = replica.message[1];
		primary.message[2] = replica.message[2];
		primary.message[3] = replica.message[3];
		synced = false;
		epoch++ }
	:: skip
	fi
#else
	skip
#endif
}

#define GIVEN(h, m) (hosts[h].given[m] == 0 || primary.message[hosts[h].given[m]] == m)
#define KEPT(h, m) (!hosts[h].seen[m] || hosts[h].stamped[m] != 1 || hosts[h].conflict[m] || primary.message[1] == m)
#define AGREED(m) (hosts[0].given[m] == 0 || hosts[1].given[m] == 0 || hosts[0].given[m] == hosts[1].given[m])
#define ALIKE(m) (!hosts[0].seen[m] || !hosts[1].seen[m] || hosts[0].stamped[m] == hosts[1].stamped[m])

init {
	atomic { run mailhost(0); run mailhost(1); run replication(); run failover() };
	running == 0;
#ifdef TOKEN
	assert(GIVEN(0, 1) && GIVEN(0, 2) && GIVEN(0, 3) && GIVEN(1, 1) && GIVEN(1, 2) && GIVEN(1, 3))
#endif
#ifdef JOURNAL
	assert(KEPT(0, 1) && KEPT(0, 2) && KEPT(0, 3) && KEPT(1, 1) && KEPT(1, 2) && KEPT(1, 3))
#endif
#ifdef AGREE
	assert(AGREED(1) && AGREED(2) && AGREED(3))
#endif
#ifdef SAME
	assert(ALIKE(1) && ALIKE(2) && ALIKE(3))
#endif
}
