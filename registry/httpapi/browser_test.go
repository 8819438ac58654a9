package httpapi_test

import (
	"context"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"permalink-milter/registry/httpapi"
)

const chromium = "/usr/bin/chromium"

// A browser is one window of a real Chromium, and what its console said.
type browser struct {
	ctx context.Context
	url string

	mu      sync.Mutex
	console []string
}

// newBrowser starts Chromium on a window of this width, and a server with
// three messages of one hash.
func newBrowser(t *testing.T, width int64) *browser {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("%v: install the Debian package chromium", err)
	}
	_, tokens := everything(t)
	server := httptest.NewServer(newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: tokens, Rate: -1}))
	t.Cleanup(server.Close)
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.ExecPath(chromium), chromedp.UserDataDir(profile),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	t.Cleanup(cancel)
	b := &browser{url: server.URL}
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(b.ctx, b.listen)
	b.do(t, log.Enable(), emulation.SetDeviceMetricsOverride(width, 800, 1, width < 500))
	return b
}

// listen keeps what the console says: violations of the policy, errors.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.console = append(b.console, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		b.console = append(b.console, "console."+string(e.Type))
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// open loads a page of ours.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	b.do(t, chromedp.Navigate(b.url+path), chromedp.WaitVisible("main"))
}

// text returns what the page shows.
func (b *browser) text(t *testing.T) (text string) {
	t.Helper()
	b.do(t, chromedp.Text("main", &text))
	return text
}

// shows fails for a page without these texts.
func (b *browser) shows(t *testing.T, texts ...string) {
	t.Helper()
	page := b.text(t)
	for _, want := range texts {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q:\n%s", want, page)
		}
	}
}

// fits fails for a page that is wider than the window, or whose console is
// not empty. With SCREENSHOTS set to a folder, it leaves a picture there.
func (b *browser) fits(t *testing.T, name string) {
	t.Helper()
	var wide bool
	var picture []byte
	b.do(t, chromedp.Evaluate(`document.documentElement.scrollWidth > window.innerWidth`, &wide))
	if wide {
		t.Errorf("%s scrolls sideways", name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.console {
		t.Errorf("%s: console: %s", name, line)
	}
	b.console = nil
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		if err := chromedp.Run(b.ctx, chromedp.FullScreenshot(&picture, 100)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
		}
	}
}

const pasted = "Received: from mx.example.org\n\tby list.example.org; Mon, 23 Nov 2026 10:00:01 +0000\n" +
	"From: A Reader <reader@example.org>\nSubject: <script>alert(1)</script>\nMessage-ID:\n <" + firstID + ">\n" +
	"Message-ID-MD5: " + hash + "\nMessage-ID-Hash: GZLPKEL44H7JOP7YXWIPYND25DN4RJAO\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n" +
	"List-Post: <mailto:" + list + ">\nArchived-At: <https://other.example/1>\n\nThe body stays here.\n"

func TestPageInChromium(t *testing.T) {
	for name, width := range map[string]int64{"desktop": 1200, "phone": 360} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, width)
			b.open(t, "/")
			b.fits(t, name+"-home")
			b.do(t, chromedp.SetValue("#message", pasted), chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
			b.shows(t, firstID, hash, "pass", "fail", "permerror", hash+"-3", "archived", "https://one.example/3", "of another archive")
			b.fits(t, name+"-checked")
			b.open(t, "/")
			b.do(t, chromedp.SendKeys("#q", "<"+firstID+">\r"), chromedp.WaitVisible(".messages"))
			b.shows(t, "3 messages share this hash", "<b>Bold & brash</b>", "https://one.example/3")
			b.fits(t, name+"-found")
			b.open(t, "/"+list+"/"+hash)
			b.shows(t, "Several messages share this permalink", hash+"-2")
			b.fits(t, name+"-choices")
			b.open(t, "/search?q="+hash+"-9&list="+list)
			b.shows(t, "Not reserved")
		})
	}
}

var _ = net.JoinHostPort
