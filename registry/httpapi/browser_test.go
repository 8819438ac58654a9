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
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"permalink-milter/registry/httpapi"
)

const chromium = "/usr/bin/chromium"

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
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("%v: install the Debian package chromium", err)
	}
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
		"pages on a desktop":               func(t *testing.T, open func(int64) *browser) { pages(t, open(1200), "desktop") },
		"pages on a phone":                 func(t *testing.T, open func(int64) *browser) { pages(t, open(360), "phone") },
		"the resolver's pages in the dark": resolver,
		"a file is read without its body":  files,
		"without JavaScript":               withoutJavaScript,
		"the policy keeps others out":      policyHolds,
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
	server := httptest.NewServer(newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: tokens, Rate: -1, Counters: counters}))
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

// fits fails for a page that is wider than the window, or whose console is
// not empty. With SCREENSHOTS set to a folder, it leaves a picture there.
func (b *browser) fits(t *testing.T, name string) {
	t.Helper()
	if ask(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > window.innerWidth`)) {
		t.Errorf("%s scrolls sideways", name)
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

const pasted = "Received: from mx.example.org\n\tby list.example.org; Mon, 23 Nov 2026 10:00:01 +0000\n" +
	"From: A Reader <reader@example.org>\nSubject: <script>alert(1)</script>\nMessage-ID:\n <" + firstID + ">\n" +
	"Message-ID-MD5: " + hash + "\nMessage-ID-Hash: GZLPKEL44H7JOP7YXWIPYND25DN4RJAO\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n" +
	"List-Post: <mailto:" + list + ">\nArchived-At: <https://other.example/1>\n\nThe body stays here.\n"

func pages(t *testing.T, b *browser, name string) {
	b.open(t, "/")
	b.fits(t, name+"-home")
	b.do(t, chromedp.SetValue("#message", pasted), chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
	b.shows(t, firstID, "1 of 4 checks found something wrong", "the hash is not this Message-ID's", hash+"-3", "archived",
		"https://one.example/3", "of another archive")
	b.fits(t, name+"-checked")
	b.open(t, "/")
	b.do(t, chromedp.SendKeys("#q", "<"+firstID+">\r"), chromedp.WaitVisible(".messages"))
	b.shows(t, "3 messages share this hash", "<b>Bold & brash</b>", "https://one.example/3")
	b.fits(t, name+"-found")
	send(t, b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Authorization": b.basic}})
	b.open(t, "/status")
	b.shows(t, "Collisions", "messages stamped", "1234567")
	b.fits(t, name+"-status")
}

// What redirects and answers with an error status is heard on the console,
// too: the page is what counts.
func resolver(t *testing.T, window func(int64) *browser) {
	b := window(360)
	send(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	b.open(t, "/"+list+"/"+strings.ToLower(hash))
	b.shows(t, "Several messages share this permalink", hash+"-2", "Subject not known")
	b.heard()
	b.fits(t, "dark-choices")
	b.open(t, "/search?q="+hash+"-9&list="+list)
	b.shows(t, "Not reserved")
	b.heard()
	b.fits(t, "dark-not-reserved")
	b.open(t, "/"+list+"/nothing")
	b.shows(t, "Not Found", "letter by letter")
	b.heard()
	b.fits(t, "dark-problem")
}

func files(t *testing.T, window func(int64) *browser) {
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(pasted, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(t *testing.T, b *browser){
		"chosen": func(t *testing.T, b *browser) { b.do(t, chromedp.SetUploadFiles("#file", []string{file})) },
		"dropped": func(t *testing.T, b *browser) {
			data := &input.DragData{Items: []*input.DragDataItem{}, Files: []string{file}, DragOperationsMask: 1}
			for _, step := range []input.DispatchDragEventType{"dragEnter", "dragOver", "drop"} {
				send(t, b, input.DispatchDragEvent, input.DispatchDragEventParams{Type: step, X: 400, Y: 500, Data: data})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := window(1200)
			b.open(t, "/")
			take(t, b)
			b.do(t, chromedp.WaitVisible("#note"))
			b.shows(t, "The header section of message.eml was read. Nothing is sent until you press Check.")
			if value := ask(t, b, chromedp.Value("#message")); !strings.Contains(value, firstID) || strings.Contains(value, "body") {
				t.Errorf("the text is %q", value)
			}
			b.fits(t, "file-"+name)
			b.do(t, chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
			b.shows(t, "1 of 4 checks found something wrong", hash+"-3")
			b.fits(t, "file-"+name+"-checked")
		})
	}
}

func withoutJavaScript(t *testing.T, window func(int64) *browser) {
	b := window(360)
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(pasted), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t, "/")
	send(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, "/")
	b.do(t, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#check-list", list), chromedp.Click("#check-form button"), chromedp.WaitReady("#checks"))
	b.shows(t, "1 of 4 checks found something wrong", hash+"-3")
	b.open(t, "/")
	b.do(t, chromedp.SendKeys("#q", hash), chromedp.SendKeys("#find-list", list+"\r"), chromedp.WaitReady(".messages"))
	b.shows(t, "3 messages share this hash")
}

// The other tests take a silent console for a policy that is kept: this shows
// that it is not silent when it is broken.
func policyHolds(t *testing.T, window func(int64) *browser) {
	b := window(1200)
	b.open(t, "/")
	for name, html := range map[string]string{
		"another site's picture": `<img src="https://other.example/x.png">`,
		"a style of its own":     `<p style="color: red">`,
		"a handler of its own":   `<img src="/static/none.svg" onerror="document.title='taken'">`,
	} {
		b.heard()
		ask(t, b, chromedp.Evaluate[bool]("document.body.insertAdjacentHTML('beforeend', `"+html+"`), true"))
		b.do(t, chromedp.Sleep(200*time.Millisecond))
		if lines := strings.Join(b.heard(), "\n"); !strings.Contains(lines, "Content Security Policy") {
			t.Errorf("%s: the console says %q", name, lines)
		}
	}
	if title := ask(t, b, chromedp.Title()); title != "Permalinks" {
		t.Errorf("the title is %q", title)
	}
}
