package httpapi_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
)

// A browser is one window of a real Chromium, and what its console said.
type browser struct {
	ctx   context.Context
	url   string
	basic string // the value of Authorization that opens the status page

	mu      sync.Mutex
	console []string
}

// All flows share one Chromium; each has a window and a server of its own.
func TestInChromium(t *testing.T) {
	chromium := need.Program(t, "chromium", "chromium")
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(chromium), chromedp.UserDataDir(profile),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T, func(width int64) *browser){
		"pages on a desktop":              everyPage(1200, "light"),
		"pages on a desktop in the dark":  everyPage(1200, "dark"),
		"pages on a phone":                everyPage(390, "light"),
		"pages on a phone in the dark":    everyPage(390, "dark"),
		"pages on the smallest phone":     everyPage(320, "light"),
		"a file is read without its body": files,
		"every mailbox is read":           everyMailbox,
		"a long message is pasted":        longPaste,
		"without JavaScript":              withoutJavaScript,
		"by keyboard alone":               byKeyboard,
		"the policy keeps others out":     policyHolds,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(width int64) *browser { return newBrowser(t, ctx, width) })
		})
	}
}

// newBrowser opens a window of this width, and starts a server with three
// messages of one hash.
func newBrowser(t *testing.T, chromium context.Context, width int64) *browser {
	t.Helper()
	token, tokens := everything(t)
	counters := func() []httpapi.Counter { return []httpapi.Counter{{Name: "messages stamped", Value: 1234567}} }
	g := prepared(t)
	for n := range 2 {
		must(g.Reserve(t.Context(), registry.Request{List: "users@lists.example.org", Hash: hash, Identity: identity(n)}))
	}
	server := httptest.NewServer(newHandler(t, httpapi.Options{Registry: g, Tokens: tokens, Counters: counters}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(chromium, time.Minute)
	t.Cleanup(cancel)
	b := &browser{url: server.URL, basic: basic(token)}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b.do(t, chromedp.EmulateViewport(width, 800))
	if err := chromedp.Listen(b.ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	send(t, b, log.Enable, cdp.Empty{})
	return b
}

// hear keeps what the console says: violations of the policy, errors.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.console = append(b.console, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.console = append(b.console, "console."+string(e.Type))
	}
}

// heard returns what the console has said since the last call.
func (b *browser) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.console
	b.console = nil
	return lines
}

// send sends a command of the browser's protocol.
func send[P, R any](t *testing.T, b *browser, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// ask returns what an action returns.
func ask[T any](t *testing.T, b *browser, action chromedp.Action[T]) T {
	t.Helper()
	answer, err := chromedp.Run(b.ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// open loads a page of ours.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	b.do(t, chromedp.Navigate(b.url+path), chromedp.WaitVisible("main"))
}

// shows fails for a page without these texts.
func (b *browser) shows(t *testing.T, texts ...string) {
	t.Helper()
	page := ask(t, b, chromedp.Text("main"))
	for _, want := range texts {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q:\n%s", want, page)
		}
	}
}

// smallControls names the controls that are lower than 44 pixels (WCAG 2.1,
// 2.5.5). Links in a text are not meant there.
const smallControls = `[...document.querySelectorAll("button, .button, input, textarea, nav a, .name")].
	filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML + " " + e.getBoundingClientRect().height).join(", ")`

// fits fails for a page that is wider than the window, has controls that a
// finger misses, or whose console is not empty. With SCREENSHOTS set to a
// folder, it leaves a picture there.
func (b *browser) fits(t *testing.T, name string) {
	t.Helper()
	if ask(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > window.innerWidth`)) {
		t.Errorf("%s scrolls sideways", name)
	}
	if small := ask(t, b, chromedp.Evaluate[string](smallControls)); small != "" {
		t.Errorf("%s: too small for a finger: %s", name, small)
	}
	for _, line := range b.heard() {
		t.Errorf("%s: console: %s", name, line)
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		picture := ask(t, b, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
			t.Error(err)
		}
	}
}
