package hosts

import (
	"strings"
	"testing"

	"permalink-milter/milter/mtatest"
	"permalink-milter/registry"
	"permalink-milter/registry/guard"
)

func held(m Message, ordinal int) registry.Reservation {
	return registry.Reservation{List: List, Hash: m.Hash(), Ordinal: ordinal, Identity: m.Identity()}
}

// Messages 0 and 1 are twins, 2 is not.
var registryOfThree = []registry.Reservation{held(0, 1), held(1, 2), held(2, 1)}

func conflict(of, holder Message) guard.Conflict {
	return guard.Conflict{List: List, Stamped: of.Token(1), Assigned: of.Token(2), Identity: of.Identity().String(), Holder: holder.Identity().String()}
}

func TestJudgeFindsEachWayToBeWrong(t *testing.T) {
	right := []Delivery{{0, Message(0).Token(1)}, {1, Message(1).Token(2)}, {2, Message(2).Token(1)}}
	listed := []Delivery{{0, Message(0).Token(1)}, {1, Message(1).Token(1)}, {2, Message(2).Token(1)}}
	for name, c := range map[string]struct {
		holds     []registry.Reservation
		delivered []Delivery
		conflicts []guard.Conflict
		want      string // empty: nothing is wrong
	}{
		"all is right":            {registryOfThree, right, nil, ""},
		"a conflict is listed":    {registryOfThree, listed, []guard.Conflict{conflict(1, 0)}, ""},
		"unmarked mail counts":    {registryOfThree, []Delivery{{0, ""}, {1, ""}, {2, ""}}, nil, ""},
		"a message is lost":       {registryOfThree, right[:2], nil, "message 2 came 0 times"},
		"a message is doubled":    {registryOfThree, append(right[:3:3], right[2]), nil, "message 2 came 2 times"},
		"a conflict is missing":   {registryOfThree, listed, nil, "message 1 has the wrong token"},
		"another one is listed":   {registryOfThree, listed, []guard.Conflict{conflict(1, 2)}, "message 1 has the wrong token"},
		"a conflict too many":     {registryOfThree, right, []guard.Conflict{conflict(1, 0)}, "1 lines for 0 wrong tokens"},
		"a reservation is lost":   {registryOfThree[:2], right, nil, "message 2, stamped " + Message(2).Token(1) + ", is lost"},
		"a hash without a twin":   {[]registry.Reservation{held(0, 1), held(1, 2), held(2, 2)}, right, []guard.Conflict{withoutHolder(2)}, "no other message its hash"},
		"a token of two messages": {append(registryOfThree[:3:3], held(1, 1)), right, nil, "belongs to"},
		"a message of two tokens": {append(registryOfThree[:3:3], held(1, 3)), right, nil, "holds"},
	} {
		t.Run(name, func(t *testing.T) {
			view, problems := NewView(c.holds)
			_, more := view.Judge(3, c.delivered, c.conflicts)
			got := strings.Join(append(problems, more...), "\n")
			if !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

func withoutHolder(m Message) guard.Conflict {
	c := conflict(m, m)
	c.Holder = strings.Repeat("0", 32)
	return c
}

func TestReadDeliveryFindsFieldsThatAreNotTheMessages(t *testing.T) {
	hash := Message(2).Hash()
	for name, c := range map[string]struct{ fields, token, err string }{
		"both fields":           {"Message-ID-MD5: " + hash + "\r\nArchived-At: <" + ArchivePrefix + List + "/" + hash + "-2>\r\n", hash + "-2", ""},
		"none":                  {"", "", ""},
		"one of them":           {"Message-ID-MD5: " + hash + "\r\n", "", "want one each"},
		"another one's hash":    {"Message-ID-MD5: " + Message(3).Hash() + "\r\nArchived-At: <https://a.example/>\r\n", "", "want one each"},
		"another one's token":   {"Message-ID-MD5: " + hash + "\r\nArchived-At: <" + ArchivePrefix + List + "/" + Message(3).Hash() + ">\r\n", "", "not a permalink of"},
		"another site's prefix": {"Message-ID-MD5: " + hash + "\r\nArchived-At: <https://a.example/" + hash + ">\r\n", "", "not a permalink of"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := ReadDelivery(mtatest.Message{Data: []byte(c.fields + "Subject: 2\r\n\r\n")})
			if c.err == "" && (err != nil || d != Delivery{2, c.token}) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, error %v; want %q, %q", d, err, c.token, c.err)
			}
		})
	}
}
