package stamp

import (
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// unarchived returns why no archive keeps a message that is for these lists,
// "" for one that may be kept: its author asked for that, its list has no
// archive, or it is a list manager's own mail.
func unarchived(h hashheader.Header, targets []target) string {
	if value, _ := h.First("X-Archive"); strings.EqualFold(strings.TrimLeft(value, " \t"), "no") {
		return "X-Archive asks for no archive"
	}
	if slices.ContainsFunc(h, isNoArchive) && !bySympa(h, targets) {
		return "X-No-Archive asks for no archive"
	}
	if byMailman3(h) {
		return unarchivedMailman3(h)
	}
	if from := commandAddress(h, targets); from != "" {
		return from + " writes a list manager's own mail"
	}
	return ""
}

func isNoArchive(f hashheader.Field) bool { return f.Is("X-No-Archive") }

// bySympa reports whether X-No-Archive is Sympa's own. Sympa writes it into
// every post to a list, below X-Loop with the list's address. Where it stands
// above, Sympa found it there, and did not archive the post.
func bySympa(h hashheader.Header, targets []target) bool {
	loop := slices.IndexFunc(h, func(f hashheader.Field) bool {
		return f.Is("X-Loop") && slices.ContainsFunc(targets, func(t target) bool {
			return strings.EqualFold(strings.Trim(f.Value, " \t\r\n"), t.list)
		})
	})
	return loop >= 0 && loop < slices.IndexFunc(h, isNoArchive)
}

func byMailman3(h hashheader.Header) bool {
	version, _ := h.First("X-Mailman-Version")
	return strings.HasPrefix(strings.TrimSpace(version), "3.") && identifier(h) != ""
}

// mailman3Marks are fields that Mailman 3 writes into posts to lists that have an
// archive. Digests, notices and requests have one or neither.
var mailman3Marks = []string{"List-Archive", "Message-ID-Hash"}

// unarchivedMailman3 is unarchived for what Mailman 3 sends.
func unarchivedMailman3(h hashheader.Header) string {
	for _, mark := range mailman3Marks {
		if _, ok := h.First(mark); !ok {
			return "Mailman 3 wrote no " + mark + ": not a post, or a list without an archive"
		}
	}
	return ""
}

// commandAddress returns the author's address where it is one that the list
// manager uses beside the address of one of the lists, as devel-request@ and
// devel+help@ beside devel@. Digests come from there. The patterns are those
// of addresses that are no lists.
func commandAddress(h hashheader.Header, targets []target) string {
	from, _ := h.First("From")
	if !strings.ContainsAny(from, "-+") {
		return "" // most are not parsed
	}
	for _, address := range addresses(unfold(from)) {
		address = strings.ToLower(address)
		for _, t := range targets {
			if beside(address, t.list) && MatchAny(t.archive.Except, address) {
				return address
			}
		}
	}
	return ""
}

// beside reports whether an address is a list's with a suffix to its name. Both
// are in lower case.
func beside(address, list string) bool {
	name, host, _ := strings.Cut(list, "@")
	suffix, ok := strings.CutPrefix(address, name)
	return ok && strings.HasSuffix(suffix, "@"+host) && strings.IndexAny(suffix, "-+") == 0
}
