package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// Which archives a message is for, and which token it gets there.
func TestPermalinksOfAMessage(t *testing.T) {
	p := policy(t)
	p.Archives = append(p.Archives, stamp.Archive{Name: "rest", List: "Rest@Lists.example.org", URL: template(t, "https://rest.example/{list_id}/{sha1}")})
	sha1, err := hashheader.SHA1.Hash([]byte(firstID)) // which the archive's URL shows
	if err != nil {
		t.Fatal(err)
	}
	sequel := reserved(t, "users@lists.example.org", 2)
	if err := sequel.Release(t.Context(), "users@lists.example.org", hash, identity(1)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query, list string // the second for a field List-Id
		registry    registry.Registry
		want        string
	}{
		"by its List-Id":                  {"", "devel.lists.example.org", nil, "one devel@lists.example.org " + hash + " vacant; rest rest@lists.example.org " + sha1 + " vacant"},
		"by name, whatever it says":       {"?list=users@lists.example.org", "devel.lists.example.org", nil, "first users@lists.example.org " + hash + " vacant; second users@lists.example.org " + hash + " vacant"},
		"by name, the archive of all":     {"?list=REST@lists.example.org", "", nil, "rest rest@lists.example.org " + sha1 + " vacant"},
		"without any, the archive of all": {"", "", nil, "rest rest@lists.example.org " + sha1 + " vacant"},
		"a sharing archive keeps the bare hash behind a gap": {"?list=users@lists.example.org", "", sequel,
			"first users@lists.example.org " + hash + "-3 vacant; second users@lists.example.org " + hash + " vacant"},
		"a sharing archive shows what another message holds": {"?list=users@lists.example.org", "", reserved(t, "users@lists.example.org", 1),
			"first users@lists.example.org " + hash + "-2 vacant; second users@lists.example.org " + hash + " reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandler(t, httpapi.Options{Policy: p, Registry: c.registry})
			body := "Message-ID: <" + firstID + ">\nList-Id: x <" + c.list + ">\n"
			answer := do(h, "POST", "/api/v1/messages"+c.query, "Content-Type: message/rfc822", "Body: "+body)
			var got struct {
				Permalinks []struct{ Archive, List, Token, State string }
			}
			if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, l := range got.Permalinks {
				lines = append(lines, fmt.Sprint(l.Archive, " ", l.List, " ", l.Token, " ", l.State))
			}
			if strings.Join(lines, "; ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(lines, "; "), c.want)
			}
		})
	}
}

func TestNewRefusesWhatCannotServe(t *testing.T) {
	g := reserved(t, list, 0)
	for name, o := range map[string]httpapi.Options{
		"no registry":               {Policy: policy(t)},
		"no policy":                 {Registry: g},
		"a base_url of no host":     {Registry: g, Policy: policy(t), BaseURL: "https://"},
		"a base_url of no web":      {Registry: g, Policy: policy(t), BaseURL: "ftp://permalink.example.org"},
		"a base_url that is a path": {Registry: g, Policy: policy(t), BaseURL: "/permalink"},
	} {
		if _, err := httpapi.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := httpapi.New(httpapi.Options{Registry: g, Policy: &stamp.Policy{Algorithm: hashheader.SHA256}}); err != nil {
		t.Error(err)
	}
}
