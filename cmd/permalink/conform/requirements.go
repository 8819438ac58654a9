package conform

// A Level says how strong a requirement is. A Rule is a definition, which holds
// without a key word of BCP 14.
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	Rule   Level = "rule"
)

// A Requirement is a sentence of the draft that a black box can observe.
type Requirement struct {
	ID       string
	Section  string // its anchor in the draft
	Level    Level
	Profiles []string
	Says     string
	Quotes   []string // where the draft says so: each holds a key word of BCP 14
}

// Find returns the requirement of an identifier.
func Find(id string) (Requirement, bool) {
	for _, r := range Requirements {
		if r.ID == id {
			return r, true
		}
	}
	return Requirement{}, false
}

// Requirements are all that the tests check, as the draft's appendix lists
// them.
var Requirements = []Requirement{
	{"ID-1", "canonical", Rule, []string{"hash"}, "the hash is that of the canonical Message-ID", nil},
	{"ID-2", "canonical", Rule, []string{"hash", "filter"}, "an id of more than 998 bytes names nothing", nil},
	{"SEC-1", "sections", Must, []string{"hash"}, "header sections are read by the rules", []string{`Filters, verifiers, archives and list managers **MUST** all read by these rules.`}},
	{"SEC-2", "bounds", Must, []string{"hash"}, "the bounds of a header section are applied", []string{`Readers **MUST** apply the bounds`}},
	{"ALG-1", "algorithms", Must, []string{"hash"}, "SHA256 is supported", []string{`Implementations **MUST** support SHA256`}},
	{"ALG-2", "algorithms", Should, []string{"hash"}, "MD5 and SHA1 are supported", []string{`**SHOULD** support MD5 and SHA1`}},
	{"LEG-1", "legacy", Should, []string{"hash"}, "the values of Message-ID-Hash and X-Message-ID-Hash are not relied on", []string{`A receiver **SHOULD NOT** rely on their values`}},
	{"IDN-1", "identity", Rule, []string{"hash"}, "the identity is a digest of the canonical fields, and a claim begins it", nil},
	{"URL-1", "templates", Must, []string{"hash"}, "the URL is what the template makes of the message, percent-encoded", []string{`URLs that are built from a Message-ID **MUST** be percent-encoded.`}},
	{"URL-2", "templates", Must, []string{"hash"}, "the form query escapes what has a meaning in a query", []string{`the form query **MUST** be used for it`}},
	{"URL-3", "templates", Must, []string{"hash"}, "a message without a Date that can be read has no permalink that shows one", []string{`a host **MUST NOT** take its own time in its place`}},
	{"RCPT-1", "lmtp", Rule, []string{"archive"}, "250 for the next free token, in either case", nil},
	{"RCPT-2", "lmtp", Rule, []string{"archive"}, "553 5.1.0 for a token that another message holds, and while a lower one is free", nil},
	{"RCPT-3", "lmtp", Rule, []string{"archive"}, "550 5.1.1 for what is not a token, and for a list that is not there", nil},
	{"RCPT-4", "lmtp", Must, []string{"archive"}, "no reply is 551", []string{`The server **MUST NOT** answer 551`}},
	{"RCPT-5", "lmtp", Rule, []string{"archive"}, "a reply 553 names the free address behind \"try\"", nil},
	{"DATA-1", "lmtp", Rule, []string{"archive"}, "250 2.1.5 for a message that is stored", nil},
	{"DATA-2", "lmtp", Rule, []string{"archive"}, "250 2.1.5 for a message that is archived already, naming its token", nil},
	{"DATA-3", "lmtp", Rule, []string{"archive"}, "553 5.1.0 for another message or another text, naming the next token", nil},
	{"DATA-4", "lmtp", Rule, []string{"archive"}, "554 5.6.0 for a message with another hash or without a Message-ID", nil},
	{"DATA-5", "lmtp", Rule, []string{"archive"}, "one reply for each recipient", nil},
	{"RES-1", "security", Must, []string{"resolver"}, "redirects lead to URLs of the own templates only", []string{`A resolver **MUST** redirect only to URLs that are made from its own templates`}},
	{"RES-2", "tokens", Rule, []string{"resolver"}, "a hash, in either case, leads to the message that holds it", nil},
	{"TOK-4", "tokens", Should, []string{"archive", "resolver"}, "a hash and a claim are accepted in place of a token", []string{`An archive or resolver **SHOULD** accept this form in place of a token.`}},
	{"IDN-2", "identity", Should, []string{"archive"}, "the site chooses Message-ID and Date for the identity", []string{`it **SHOULD** use Message-ID and Date`}},
	{"REG-1", "registry", Must, []string{"archive"}, "a token is given to one identity only", []string{`A registry **MUST** give a token to one identity only`}},
	{"FLT-1", "templates", Rule, []string{"filter"}, "the hash field and Archived-At are added", nil},
	{"NAM-1", "names", Must, []string{"filter"}, "no field is added whose name begins with X-", []string{`A filter **MUST NOT** add a field whose name begins with "X-".`}},
	{"NAM-2", "names", Should, []string{"filter"}, "a message has at most one field of each name", []string{`A header section **SHOULD** contain at most one field of each of these names.`}},
	{"NAM-3", "names", Must, []string{"hash", "filter"}, "readers do not rely on the position of a field", []string{`readers **MUST NOT** rely on their position`}},
	{"ALG-3", "algorithms", Must, []string{"hash"}, "a hash is accepted in either case and with padding", []string{`**MUST** accept either case and **MUST** ignore any number of "=" at the end`}},
	{"ALG-4", "algorithms", Must, []string{"hash"}, "a hash of another length, or with unused bits that are not zero, is not accepted", []string{`It **MUST NOT** accept a hash of another length`}},
	{"VER-1", "verification", Rule, []string{"hash"}, "the result of a hash field is that of the table", nil},
	{"BRD-1", "border", Must, []string{"filter"}, "hash fields with another value are removed", []string{`so it **MUST** remove, from every message that it passes on`}},
	{"BRD-2", "border", Must, []string{"filter"}, "an Archived-At under the own template is removed, however it is spelled", nil},
	{"BRD-3", "border", Must, []string{"filter"}, "an Archived-At that is not one URL and holds the own host is removed", nil},
	{"BRD-4", "border", Must, []string{"filter"}, "the Archived-At fields of other sites stay", []string{`The filter **MUST NOT** remove the Archived-At fields of other sites`}},
	{"BRD-5", "border", Must, []string{"filter"}, "a message with the right fields is passed on unchanged", []string{`A message that carries exactly the right fields **MUST** be passed on unchanged`}},
	{"BRD-6", "border", Rule, []string{"filter"}, "an Archived-At is added above those of other sites", nil},
	{"WCH-1", "which", Must, []string{"filter"}, "no field names a blind recipient", []string{`A field that everyone reads **MUST NOT** name a blind recipient.`}},
	{"WCH-2", "which", Rule, []string{"filter"}, "a message with X-No-Archive gets the hash alone", nil},
	{"DAT-1", "identity", Should, []string{"filter"}, "a Date is added to a message without one", []string{`A filter therefore **SHOULD** add a Date`}},
	{"MSG-1", "missing", Rule, []string{"filter"}, "an id is derived by the rule", nil},
	{"MSG-2", "missing", Must, []string{"filter"}, "no id is derived where From and Date are missing", []string{`This option **MUST NOT** be used for a message whose From and Date both contribute an empty value to an identity`}},
	{"MSG-3", "missing", Must, []string{"filter"}, "no message is rejected because of the form of its Message-ID", []string{`A filter **MUST NOT** reject a message because of the form of its Message-ID.`}},
	{"LIN-1", "dkim", Should, []string{"filter"}, "Archived-At is one line", []string{`Archived-At **SHOULD** be written on one line`}},
	{"SEC-3", "bounds", Rule, []string{"filter"}, "a message over the bounds is passed on unchanged", nil},
}

// An Unseen is a sentence of the draft with a key word that no test from
// outside can observe.
type Unseen struct{ Section, Quote, Why string }

// Unobserved are all such sentences.
var Unobserved = []Unseen{
	{"bounds", `A program that meets one **SHOULD** report it.`, "how a program reports is its own matter"},
	{"border", `which **MUST** contain the scheme, the whole authority and the "/" after it`, "templates are configured inside"},
	{"which", `**SHOULD** be able to disregard them there`, "a site configures which clients are trusted"},
	{"tokens", `Its token **MUST NOT** be given to another message while a higher ordinal of its hash is held`, "reservations end by their operator's hand or time"},
	{"tokens", `An archive **SHOULD** show the other messages with this hash beside it.`, "it is about pages for people"},
	{"missing", `A message **SHOULD** have a Message-ID`, "it is about senders"},
	{"registry", `**MUST NOT** acknowledge a reservation before it would survive a crash of the registry's host`, "a test would have to crash the host"},
	{"registry", `A filter **SHOULD** record conflicts.`, "a test would have to stop the registry, and records are local"},
	{"lmtp", `The number of tries **SHOULD** be bounded.`, "it is about clients, which no profile tests"},
	{"dkim", `**SHOULD** let the filter run before the signer and include the hash fields and Archived-At among the signed fields`, "it is about a site's order of programs"},
	{"privacy", `A permalink to a closed archive therefore **MUST NOT** be the only protection of the message.`, "it is about an archive's access rules"},
	{"security", `Archives **SHOULD** show the other messages with the same hash.`, "it is about pages for people"},
	{"security", `a reader **MUST NOT** rely on them`, "what a reader does not rely on leaves no trace"},
}
