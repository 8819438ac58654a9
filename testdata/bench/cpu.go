package main

import (
	"fmt"
	"sync"
	"time"
)

// load plays messages over so many sessions at once, and returns the times at
// the end of the messages.
func (r *running) load(sessions, messages, fields int) (eom []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range sessions {
		wg.Go(func() {
			times := r.play(messages/sessions, fields, n)
			mu.Lock()
			defer mu.Unlock()
			eom = append(eom, times...)
		})
	}
	wg.Wait()
	return eom
}

func (r *running) play(messages, fields, n int) (eom []time.Duration) {
	s, err := open(r.socket)
	must(err)
	defer s.close()
	for i := range messages {
		edits, took, err := s.message(steps(fields, fmt.Sprintf("%d.%d@mail.example.org", n, i)))
		must(err)
		if want := r.wants(fields); want >= 0 && edits != want {
			fail("%s made %d edits, not %d", r.name, edits, want)
		}
		eom = append(eom, took)
	}
	return eom
}

// wants returns how many edits a message of so many fields gets, -1 where
// that is not known. The second field is the forged one.
func (f filter) wants(fields int) int {
	if f.edits == 0 || fields == 1 {
		return f.edits - 1
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
			t.compare(filters, b.rounds(), []string{fmt.Sprint(sessions), fmt.Sprint(fields)}, func(f filter) float64 {
				return f.cpuOfMessage(sessions, b.messages(), fields)
			})
		}
	}
	return t
}

func (f filter) cpuOfMessage(sessions, messages, fields int) float64 {
	idle := f.start()
	idle.load(sessions, 0, fields)
	base := idle.stop()
	busy := f.start()
	busy.load(sessions, messages, fields)
	done := messages / sessions * sessions
	return float64((busy.stop() - base).Microseconds()) / float64(done)
}
