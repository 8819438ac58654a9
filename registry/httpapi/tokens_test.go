package httpapi_test

import (
	"strings"
	"testing"

	"permalink-milter/registry/httpapi"
)

func TestScopesCountForTheirListsAlone(t *testing.T) {
	token, sum := httpapi.NewToken()
	other, otherSum := httpapi.NewToken()
	none, noneSum := httpapi.NewToken()
	grant := func(sum, scope, lists string) string {
		return "[[token]]\nname = \"x\"\nsha256 = \"" + sum + "\"\nscopes = [\"" + scope + "\"]\nlists = [\"" + lists + "\"]\n"
	}
	tokens, err := loadTokens(t, grant(sum, "read", "*@lists.example.org")+grant(sum, "confirm", "Devel@*")+grant(otherSum, "release", "*")+grant(noneSum, "read", ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token, method, target string
		status                int
	}{
		"read on its lists":           {token, "GET", one, 200},
		"read on another's":           {token, "GET", "/api/v1/reservations/devel@other.example/" + hash, 403},
		"read on all is not given":    {token, "GET", "/api/v1/stats", 403},
		"list all is not given":       {token, "GET", "/api/v1/reservations", 403},
		"confirm by the other table":  {token, "PUT", one + "/archived", 200},
		"release is not given":        {token, "DELETE", one, 403},
		"release by the other token":  {other, "DELETE", one, 204},
		"reading by the other token":  {other, "GET", one, 403},
		"no pattern is not all lists": {none, "GET", "/api/v1/stats", 403},
		"a digest is not a token":     {sum, "GET", one, 401},
		"an empty token is none":      {"", "GET", one, 401},
		"a part of a token is none":   {token[:len(token)-1], "GET", one, 401},
		"a token and more is none":    {token + "x", "GET", one, 401},
		"another case of it is none":  {strings.ToUpper(token), "GET", one, 401},
		"a line end changes nothing":  {token + "\t", "GET", one, 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: tokens})
			answer := do(h, c.method, c.target, "Authorization: bearer "+c.token, "Content-Type: application/json", `Body: {"url": "https://one.example/1"}`)
			if answer.StatusCode != c.status {
				t.Errorf("%d, want %d: %s", answer.StatusCode, c.status, text(answer))
			}
		})
	}
}

func TestTokensAreReloaded(t *testing.T) {
	old, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Tokens: tokens})
	fresh, tokens := everything(t)
	h.SetTokens(tokens)
	for token, want := range map[string]int{old: 401, fresh: 200} {
		if answer := do(h, "GET", "/api/v1/stats", "Authorization: Bearer "+token); answer.StatusCode != want {
			t.Errorf("%d, want %d", answer.StatusCode, want)
		}
	}
	h.SetTokens(nil)
	if answer := do(h, "GET", "/api/v1/stats", "Authorization: Bearer "+fresh); answer.StatusCode != 401 {
		t.Errorf("without tokens: %d", answer.StatusCode)
	}
}

func TestNewTokensDiffer(t *testing.T) {
	a, sumA := httpapi.NewToken()
	b, sumB := httpapi.NewToken()
	if a == b || sumA == sumB || len(a) != len("permalink_")+43 || len(sumA) != 64 {
		t.Errorf("%s %s", sumA, sumB)
	}
}

func TestStatusPageAsksForATokenAsThePassword(t *testing.T) {
	token, tokens := everything(t)
	_, noTokens := newTokens(t, `scopes = ["read"]`+"\n"+`lists = ["*@lists.example.org"]`)
	for name, c := range map[string]struct {
		header string
		tokens *httpapi.Tokens
		status int
	}{
		"without one":           {"", tokens, 401},
		"with one":              {"Authorization: " + basic(token), tokens, 200},
		"with a wrong one":      {"Authorization: " + basic("x"), tokens, 401},
		"where it is not known": {"Authorization: " + basic(token), noTokens, 401},
	} {
		t.Run(name, func(t *testing.T) {
			answer := do(newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: c.tokens}), "GET", "/status", c.header)
			asks := strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Basic ")
			if answer.StatusCode != c.status || asks != (c.status == 401) {
				t.Errorf("%d %v", answer.StatusCode, answer.Header)
			}
		})
	}
	answer := do(newHandler(t, httpapi.Options{Tokens: tokens}), "GET", "/api/v1/stats", "Authorization: "+basic(token))
	if answer.StatusCode != 401 {
		t.Errorf("Basic opens the API: %d", answer.StatusCode)
	}
}

func TestTokensFileReportsAllThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"an unknown key":       {"[[token]]\nscope = \"read\"\n", "unknown keys"},
		"no TOML":              {"[[token]\n", "line 1"},
		"a token in its place": {"[[token]]\nname = \"a\"\nsha256 = \"permalink_abc\"\nscopes = [\"read\"]\nlists = [\"*\"]\n", "never the token itself"},
		"an unknown scope":     {"[[token]]\nsha256 = \"" + strings.Repeat("0", 64) + "\"\nscopes = [\"write\"]\nlists = [\"*\"]\n", `"write": write some of`},
		"a bad pattern":        {"[[token]]\nsha256 = \"" + strings.Repeat("0", 64) + "\"\nscopes = [\"read\"]\nlists = [\"[\"]\n", "syntax error in pattern"},
		"the second of two":    {"[[token]]\nsha256 = \"" + strings.Repeat("0", 64) + "\"\nscopes = [\"read\"]\nlists = [\"*\"]\n[[token]]\nname = \"b\"\n", `token 2 ("b"): sha256`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadTokens(t, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := httpapi.LoadTokens("/nonexistent"); err == nil || !strings.Contains(err.Error(), "read tokens") {
		t.Errorf("a missing file: %v", err)
	}
}
