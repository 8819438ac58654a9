package page

import (
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A View is what one page shows. The types whose fields have JSON names are
// parts of the API's answers too, so that both say the same.
type View interface {
	template() string // the file in templates/
}

// Home is the first page.
type Home struct{}

// Checked shows what was found out about messages.
type Checked struct {
	Messages []Message
	Left     int // messages that were not looked at: there were too many
}

// Found shows what a search found.
type Found struct {
	MessageID string // canonical; empty for a token
	Hashes    []Row  // of the Message-ID
	Token     string
	List      string // where it was looked for; empty: everywhere
	Searched  int    // lists that were looked at, where not all of them were
	Found     []Choices
}

// Status shows counts.
type Status struct {
	registry.Stats
	At       time.Time
	Counters []Counter
}

// Problem shows an error.
type Problem struct {
	Title, Detail string
	Status        int
}

func (Home) template() string    { return "home.html" }
func (Checked) template() string { return "checked.html" }
func (Found) template() string   { return "found.html" }
func (Choices) template() string { return "choices.html" }
func (Status) template() string  { return "status.html" }
func (Problem) template() string { return "problem.html" }

// A Row is a name with its value, such as a header field.
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Counter is one count of the daemon's.
type Counter struct {
	Name  string
	Value int64
}

// A Message is what was found out about one message. From, Date and Subject
// are as people read them.
type Message struct {
	From, Date, Subject string

	Problem    string // why the message cannot be named; then the rest is empty
	MessageID  string // canonical
	Derived    bool   // MessageID is derived from originator fields: the message has none
	Hashes     []Row
	Checks     []hashheader.Check
	Permalinks []Permalink
	Header     []Row    // the fields that the filter writes
	Notes      []string // why there is no permalink, and what is unusual
}

// Wrong counts the checks that found something wrong.
func (m Message) Wrong() (n int) {
	for _, check := range m.Checks {
		if !check.Result.Fine() {
			n++
		}
	}
	return n
}

// A Permalink is where one archive has, or will have, a message.
type Permalink struct {
	Archive  string `json:"archive"`
	List     string `json:"list"`
	Token    string `json:"token"`
	URL      string `json:"url"`                // by the archive's template
	State    string `json:"state"`              // vacant: not reserved
	Archived string `json:"archived,omitempty"` // the confirmed URL
	Link     string `json:"permalink"`          // through the resolver
}

// Choices is what a permalink leads to where that is not one place.
type Choices struct {
	List    string   `json:"list"`
	Token   string   `json:"token"`
	Choices []Choice `json:"choices"`
	More    int      `json:"more,omitempty"` // messages that Choices leaves out
}

// Count returns how many messages there are.
func (c Choices) Count() int { return len(c.Choices) + c.More }

// A Choice is one message that a permalink may mean.
type Choice struct {
	Token     string    `json:"token"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Subject   string    `json:"subject,omitempty"`
	Permalink string    `json:"permalink"` // of this message alone, whatever came first
	Links     []Link    `json:"links"`
	// Waits reports that an archive has confirmed others of the choices and not
	// this one, so that Permalink may lead nowhere.
	Waits bool `json:"-"`
}

// A Link is one archive's URL of a message. The archive's name is empty for
// the URL that was confirmed.
type Link struct {
	Archive string `json:"archive,omitempty"`
	URL     string `json:"url"`
}
