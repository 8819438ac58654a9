package hosts

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/testdata/mta"
)

// The load of each row: before the fault, while it lasts, and after it, a
// third each; more where the fault lasts longer.
var messages = flag.Int("messages", 180, "send at least so many `messages` through each host, in each row")

var daemonBin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hosts-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = dependOnSources()
	}
	if err == nil {
		daemonBin, err = mta.BuildDaemon(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// dependOnSources looks at the module's files: the test binary holds none of
// the daemon's, and a cached result must not outlive a change of the daemon.
func dependOnSources() error {
	return filepath.WalkDir("../..", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			_, err = os.Stat(name)
		}
		return err
	})
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limit is a context that ends a test which hangs.
func limit(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startHosts(t *testing.T, names ...string) (hosts []*Host) {
	t.Helper()
	for _, name := range names {
		h, err := Start(t.Context(), name)
		must(t, err)
		t.Cleanup(func() {
			if err := h.Stop(); err != nil {
				t.Error(err)
			}
		})
		hosts = append(hosts, h)
	}
	return hosts
}

// TestHostsAgreeThroughEachFault sends mail through two hosts at once while
// their registry fails in one way after the other. Nothing may be lost or
// doubled; both hosts must give a message the token that the registry holds
// for it in the end, but for what the conflicts files list.
func TestHostsAgreeThroughEachFault(t *testing.T) {
	hosts := startHosts(t, "mx1", "mx2")
	table := [][]string{{"fault", "sent", "delivered", "stamped", "right", "journalled", "replayed", "conflicts", "listed", "refused", "errors logged"}}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			table = append(table, append([]string{r.name}, r.run(t, hosts).cells()...))
		})
	}
	t.Log("\n" + Table(table))
}

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

// run is one row: topology, daemons, traffic, fault, verdict.
func (r row) run(t *testing.T, hosts []*Host) report {
	s := r.start(t)
	ctx := limit(t)
	dir := t.TempDir()
	for i, h := range hosts {
		must(t, h.StartDaemon(ctx, daemonBin, dir, Registry{URL: s.urls[i], OnFailure: r.onFailure, MinReplicas: s.minReplicas}))
		defer h.stopDaemon(t)
	}
	traffic := StartTraffic(ctx, hosts)
	awaitDelivered(t, hosts, *messages/3)
	mend := r.fault(t, s)
	r.awaitEffect(t, hosts)
	mend()
	for _, h := range hosts {
		must(t, h.WaitServed(ctx))
	}
	awaitDelivered(t, hosts, *messages/3)
	sent, err := traffic.Stop()
	must(t, err)
	return r.verdict(t, s, hosts, sent)
}

func (h *Host) stopDaemon(t *testing.T) {
	if t.Failed() {
		t.Log(h.Name, lastLines(h.Log(), 40))
	}
	must(t, h.StopDaemon())
}

// awaitDelivered waits for further messages from every host.
func awaitDelivered(t *testing.T, hosts []*Host, more int) {
	t.Helper()
	ctx := limit(t)
	want := make([]int, len(hosts))
	for i, h := range hosts {
		want[i] = len(h.Sink.Messages()) + more
	}
	for i, h := range hosts {
		_, err := h.Sink.Wait(ctx, want[i])
		must(t, err)
	}
}

// awaitEffect waits until mail has gone on under the fault for a while; where
// it may not go on, until that shows.
func (r row) awaitEffect(t *testing.T, hosts []*Host) {
	t.Helper()
	for _, host := range r.journals {
		must(t, hosts[host].WaitOutage(limit(t)))
	}
	if r.onFailure != "tempfail" {
		awaitDelivered(t, hosts, *messages/3)
		return
	}
	for _, h := range hosts {
		for h.Refusals() < 20 {
			must(t, limit(t).Err())
			time.Sleep(20 * time.Millisecond)
		}
	}
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
		one := judge(t, view, h, sent)
		r.check(t, s, one, i)
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
	store, err := redisreg.Open(redisreg.Options{URL: s.url, Timeout: 10 * time.Second})
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
func judge(t *testing.T, view View, h *Host, sent int) report {
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
	for result, want := range map[string]int{"stamped": tally.Stamped, "unmarked": tally.Delivered - tally.Stamped, "tempfail": h.Refusals()} {
		if got := m[`messages_total{result="`+result+`"}`]; int(got) != want {
			t.Errorf("%s: messages_total of %s is %v, want %d", h.Name, result, got, want)
		}
	}
	conflict := int(m[`replayed_total{result="conflict"}`])
	return report{Tally: tally, journalled: int(m["journalled_total"]), conflicts: conflict,
		replayed: int(m[`replayed_total{result="same"}`]) + conflict, refused: h.Refusals(), errors: h.Errors()}
}

// check holds one host's report against what the row promises.
func (r row) check(t *testing.T, s *system, one report, host int) {
	t.Helper()
	if one.replayed != one.journalled || one.conflicts != one.Listed {
		t.Errorf("host %d: the metrics tell of %d journalled, %d replayed and %d conflicts; %d are listed", host, one.journalled, one.replayed, one.conflicts, one.Listed)
	}
	if r.onFailure == "" && (one.refused > 0 || one.Stamped != one.Delivered) {
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
