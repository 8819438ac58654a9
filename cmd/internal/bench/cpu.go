package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// A load is what a filter gets to do: so many sessions at once, each with so
// many messages of so many header fields; once: a session for each message.
type load struct {
	sessions, messages, fields int
	once                       bool
}

func (l load) total() int { return l.sessions * l.messages }

// run plays a load and returns the times at the end of the messages.
func (r *running) run(l load) (eom []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range l.sessions {
		wg.Go(func() {
			times := r.play(l, n)
			mu.Lock()
			defer mu.Unlock()
			eom = append(eom, times...)
		})
	}
	wg.Wait()
	return eom
}

func (r *running) play(l load, n int) (eom []time.Duration) {
	s, err := open(r.socket)
	must(err)
	for i := range l.messages {
		if l.once && i > 0 {
			s.close()
			s, err = open(r.socket)
			must(err)
		}
		edits, took, err := s.message(steps(l.fields, fmt.Sprintf("%d.%d@mail.example.org", n, i)))
		must(err)
		if want := r.wants(l.fields); want >= 0 && edits != want {
			fail("%s made %d edits, not %d", r.name, edits, want)
		}
		eom = append(eom, took)
	}
	s.close()
	return eom
}

// wants returns how many edits a message of so many fields gets, -1 where
// that is not known. A message of one field has neither forged field nor Date.
func (f filter) wants(fields int) int {
	switch {
	case f.edits == 0:
		return -1
	case fields == 1:
		return f.edits - 1 + f.dates
	}
	return f.edits
}

// cpu measures the CPU time a message of each filter. What a filter needs to
// start and to open its sessions is measured by a run without messages and
// taken off.
func (b *bench) cpu() table {
	t := table{title: "CPU time a message (user and system), µs",
		head: []string{"sessions", "fields", "filter", "median", "min", "max", "beside libmilter (C)"}}
	filters := []filter{b.libmilter(), b.hashOnly(), b.daemon("permalink-milter, bolt", "bolt:r.db", archiveConfig), b.opendkim(), b.python()}
	for _, sessions := range []int{1, 50} {
		for _, fields := range []int{1, 20, 100} {
			l := load{sessions: sessions, messages: b.messages() / sessions, fields: fields}
			t.compare(filters, b.rounds(), []string{fmt.Sprint(sessions), fmt.Sprint(fields)}, l.cpuOfMessage)
		}
	}
	l := load{sessions: 50, messages: b.messages() / 50, fields: 20, once: true}
	t.compare(filters, b.rounds(), []string{"50, of a message each", "20"}, l.cpuOfMessage)
	l.once = false
	t.compare([]filter{b.hashOnly(), b.logging()}, b.rounds(), []string{"50", "20"}, l.cpuOfMessage)
	info, err := os.Stat(b.logFile())
	must(err)
	t.notes = append(t.notes, fmt.Sprintf("A line of log is %d bytes. The last two rows are beside the one that logs nothing.", info.Size()/int64(l.total())))
	return t
}

func (l load) cpuOfMessage(f filter) float64 {
	idle := f.start()
	idle.run(load{sessions: l.sessions})
	base := idle.stop()
	busy := f.start()
	busy.run(l)
	return float64((busy.stop() - base).Microseconds()) / float64(l.total())
}
