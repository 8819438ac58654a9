package hosts

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// A report is a line of the table: what all hosts did in one row.
type report struct {
	sent int // to each host
	Tally
	journalled, replayed, conflicts int // as the metrics tell
	refused                         int // 4xx replies of Postfix
	errors                          int // lines in the daemons' logs
	hosts                           int
}

func (r report) cells() (cells []string) {
	cells = append(cells, fmt.Sprintf("%d x %d", r.hosts, r.sent))
	for _, n := range []int{r.Delivered, r.Stamped, r.Right, r.journalled, r.replayed, r.conflicts, r.Listed, r.refused, r.errors} {
		cells = append(cells, fmt.Sprint(n))
	}
	return cells
}

// verdict waits until the hosts have recovered, and holds what they did
// against the registry.
func (r row) verdict(t *testing.T, s *system, hosts []*Host, sent int) report {
	ctx := limit(t)
	for _, h := range hosts {
		must(t, h.WaitDelivered(ctx))
		must(t, h.WaitReplayed(ctx))
	}
	view := readRegistry(t, s)
	sum := report{sent: sent, hosts: len(hosts)}
	for i, h := range hosts {
		one := r.judge(t, view, h, sent)
		r.check(t, one, i)
		sum.add(one)
	}
	return sum
}

func (r *report) add(o report) {
	r.Delivered += o.Delivered
	r.Stamped += o.Stamped
	r.Right += o.Right
	r.Listed += o.Listed
	r.journalled += o.journalled
	r.replayed += o.replayed
	r.conflicts += o.conflicts
	r.refused += o.refused
	r.errors += o.errors
}

func readRegistry(t *testing.T, s *system) View {
	t.Helper()
	store, err := redisreg.Open(redisreg.Options{URL: s.url, KeyPrefix: config.Default().Registry.KeyPrefix, Timeout: 10 * time.Second})
	must(t, err)
	reg := registry.New(store, registry.Options{})
	defer reg.Close()
	var all []registry.Reservation
	for one, err := range reg.List(limit(t), List) {
		must(t, err)
		all = append(all, one)
	}
	view, problems := NewView(all)
	complain(t, "registry", problems)
	return view
}

// judge counts what one host did.
func (r row) judge(t *testing.T, view View, h *Host, sent int) report {
	t.Helper()
	var deliveries []Delivery
	for _, m := range h.Sink.Messages() {
		d, err := ReadDelivery(m)
		if err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
		deliveries = append(deliveries, d)
	}
	conflicts, err := h.Conflicts()
	must(t, err)
	tally, problems := view.Judge(sent, deliveries, conflicts)
	complain(t, h.Name, problems)
	m, err := h.Metrics(t.Context())
	must(t, err)
	if !r.crash {
		tellsOfMail(t, h, m, tally)
	}
	conflict := int(m[`replayed_total{result="conflict"}`])
	return report{Tally: tally, journalled: int(m["journalled_total"]), conflicts: conflict,
		replayed: int(m[`replayed_total{result="same"}`]) + conflict, refused: h.Refusals(), errors: h.Errors()}
}

// tellsOfMail holds the metrics against the mail.
func tellsOfMail(t *testing.T, h *Host, m map[string]float64, tally Tally) {
	t.Helper()
	for result, want := range map[string]int{"stamped": tally.Stamped, "unmarked": tally.Delivered - tally.Stamped, "tempfail": h.Refusals()} {
		if got := m[`messages_total{result="`+result+`"}`]; int(got) != want {
			t.Errorf("%s: messages_total of %s is %v, want %d", h.Name, result, got, want)
		}
	}
}

// check holds one host's report against what the row promises.
func (r row) check(t *testing.T, one report, host int) {
	t.Helper()
	if one.replayed < one.journalled || one.replayed > one.journalled && !r.crash || one.conflicts != one.Listed {
		t.Errorf("host %d: the metrics tell of %d journalled, %d replayed and %d conflicts; %d are listed", host, one.journalled, one.replayed, one.conflicts, one.Listed)
	}
	if r.onFailure == "" && (one.refused > 0 && !r.crash || one.Stamped != one.Delivered) {
		t.Errorf("host %d: %d messages refused, %d of %d stamped", host, one.refused, one.Stamped, one.Delivered)
	}
	if r.onFailure == "tempfail" && (one.refused == 0 || one.Right != one.Delivered) {
		t.Errorf("host %d: %d messages refused, %d of %d right", host, one.refused, one.Right, one.Delivered)
	}
	if slices.Contains(r.journals, host) != (one.journalled > 0) && r.journals != nil {
		t.Errorf("host %d journalled %d reservations", host, one.journalled)
	}
	if quiet := one.errors - one.conflicts; r.onFailure == "" && quiet > maxErrors {
		t.Errorf("host %d logged %d errors beside its conflicts", host, quiet)
	}
}

// complain reports the first problems of many.
func complain(t *testing.T, where string, problems []string) {
	t.Helper()
	for i, p := range problems {
		if i == 10 {
			t.Errorf("%s: and %d more", where, len(problems)-i)
			return
		}
		t.Errorf("%s: %s", where, p)
	}
}
