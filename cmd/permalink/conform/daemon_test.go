package conform

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
)

// daemonConfig is that of a daemon with all doors. HTTP and LMTP are ports.
const daemonConfig = `hostname = "mx.example.org"
state_dir = "DIR"
[milter]
listen = ["unix:DIR/milter.sock"]
[http]
listen = "127.0.0.1:HTTP"
[lmtp]
listen = "127.0.0.1:LMTP"
[[lmtp.domain]]
domain = "archive.example.org"
list = "devel@lists.example.org"
deliver = "maildir:DIR/devel"
[[archive]]
name = "pages"
lists = ["devel@lists.example.org"]
url = "https://a.example/{list}/{token}"
`

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func TestTheDaemonPasses(t *testing.T) {
	need.Time(t, "it builds the daemon")
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	bin, err := mtatest.BuildDaemon(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	web, lmtp, socket := freePort(t), freePort(t), "unix:"+filepath.Join(dir, "milter.sock")
	text := strings.NewReplacer("DIR", dir, "127.0.0.1:HTTP", "127.0.0.1:"+web, "127.0.0.1:LMTP", "127.0.0.1:"+lmtp).Replace(daemonConfig)
	daemon, err := mtatest.StartDaemon(ctx, bin, dir, text, socket, "127.0.0.1:"+web, "127.0.0.1:"+lmtp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Stop(); err != nil {
			t.Error(err)
		}
	})
	target := FilterTarget{socket, "devel@lists.example.org", forgedTemplate(t), hashheader.MD5}
	filterTests, err := Filter(target)
	if err != nil {
		t.Fatal(err)
	}
	passes(t, filterTests, 0)
	archive, err := Archive(ArchiveTarget{"127.0.0.1:" + lmtp, "archive.example.org", hashheader.MD5})
	if err != nil {
		t.Fatal(err)
	}
	passes(t, archive, 0)

	h, err := hashheader.ReadHeader(strings.NewReader(string(probe)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&filter{target: target}).pass(ctx, envelope{"a@example.org", []string{target.List}}, h); err != nil {
		t.Fatal(err)
	}
	resolver, err := Resolver(ResolverTarget{Base: &url.URL{Scheme: "http", Host: "127.0.0.1:" + web}, List: target.List, Message: probe, Templates: []hashheader.Template{target.Template}})
	if err != nil {
		t.Fatal(err)
	}
	passes(t, resolver, 0)
}
