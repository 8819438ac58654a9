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
	{"ID-1", "canonical", Rule, []string{"hash"}, "the hash is that of the canonical Message-ID"},
	{"ID-2", "canonical", Rule, []string{"hash", "filter"}, "an id of more than 998 bytes names nothing"},
	{"SEC-1", "sections", Must, []string{"hash"}, "header sections are read by the rules"},
	{"SEC-2", "bounds", Must, []string{"hash"}, "the bounds of a header section are applied"},
	{"ALG-1", "algorithms", Must, []string{"hash"}, "SHA256 is supported"},
	{"ALG-2", "algorithms", Should, []string{"hash"}, "MD5 and SHA1 are supported"},
	{"LEG-1", "legacy", Should, []string{"hash"}, "the values of Message-ID-Hash and X-Message-ID-Hash are not relied on"},
	{"IDN-1", "identity", Rule, []string{"hash"}, "the identity is a digest of the canonical fields, and a claim begins it"},
	{"URL-1", "templates", Rule, []string{"hash"}, "the URL is what the template makes of the message, percent-encoded"},
	{"URL-2", "templates", Must, []string{"hash"}, "the form query escapes what has a meaning in a query"},
	{"URL-3", "templates", Must, []string{"hash"}, "a message without a Date that can be read has no permalink that shows one"},
	{"RCPT-1", "lmtp", Rule, []string{"archive"}, "250 for the next free token, in either case"},
	{"RCPT-2", "lmtp", Rule, []string{"archive"}, "553 5.1.0 for a token that another message holds, and while a lower one is free"},
	{"RCPT-3", "lmtp", Rule, []string{"archive"}, "550 5.1.1 for what is not a token, and for a list that is not there"},
	{"RCPT-4", "lmtp", Must, []string{"archive"}, "no reply is 551"},
	{"RCPT-5", "lmtp", Rule, []string{"archive"}, "a reply 553 names the free address behind \"try\""},
	{"DATA-1", "lmtp", Rule, []string{"archive"}, "250 2.1.5 for a message that is stored"},
	{"DATA-2", "lmtp", Rule, []string{"archive"}, "250 2.1.5 for a message that is archived already, naming its token"},
	{"DATA-3", "lmtp", Rule, []string{"archive"}, "553 5.1.0 for another message or another text, naming the next token"},
	{"DATA-4", "lmtp", Rule, []string{"archive"}, "554 5.6.0 for a message with another hash or without a Message-ID"},
	{"DATA-5", "lmtp", Rule, []string{"archive"}, "one reply for each recipient"},
	{"TOK-4", "tokens", Should, []string{"archive"}, "a hash and a claim are accepted in place of a token"},
	{"IDN-2", "identity", Should, []string{"archive"}, "the site chooses Message-ID and Date for the identity"},
	{"REG-1", "registry", Must, []string{"archive"}, "a token is given to one identity only"},
	{"FLT-1", "templates", Rule, []string{"filter"}, "the hash field and Archived-At are added"},
	{"NAM-1", "names", Must, []string{"filter"}, "no field is added whose name begins with X-"},
	{"NAM-2", "names", Should, []string{"filter"}, "a message has at most one field of each name"},
	{"NAM-3", "names", Must, []string{"hash", "filter"}, "readers do not rely on the position of a field"},
	{"ALG-3", "algorithms", Must, []string{"hash"}, "a hash is accepted in either case and with padding"},
	{"ALG-4", "algorithms", Must, []string{"hash"}, "a hash of another length, or with unused bits that are not zero, is not accepted"},
	{"VER-1", "verification", Rule, []string{"hash"}, "the result of a hash field is that of the table"},
	{"BRD-1", "border", Must, []string{"filter"}, "hash fields with another value are removed"},
	{"BRD-2", "border", Must, []string{"filter"}, "an Archived-At under the own template is removed, however it is spelled"},
	{"BRD-3", "border", Must, []string{"filter"}, "an Archived-At that is not one URL and holds the own host is removed"},
	{"BRD-4", "border", Must, []string{"filter"}, "the Archived-At fields of other sites stay"},
	{"BRD-5", "border", Must, []string{"filter"}, "a message with the right fields is passed on unchanged"},
	{"BRD-6", "border", Rule, []string{"filter"}, "an Archived-At is added above those of other sites"},
	{"WCH-1", "which", Must, []string{"filter"}, "no field names a blind recipient"},
	{"WCH-2", "which", Rule, []string{"filter"}, "a message with X-No-Archive gets the hash alone"},
	{"DAT-1", "identity", Should, []string{"filter"}, "a Date is added to a message without one"},
	{"MSG-1", "missing", Rule, []string{"filter"}, "an id is derived by the rule"},
	{"MSG-2", "missing", Must, []string{"filter"}, "no id is derived where From and Date are missing"},
	{"MSG-3", "missing", Must, []string{"filter"}, "no message is rejected because of the form of its Message-ID"},
	{"LIN-1", "dkim", Should, []string{"filter"}, "Archived-At is one line"},
	{"SEC-3", "bounds", Rule, []string{"filter"}, "a message over the bounds is passed on unchanged"},
}
