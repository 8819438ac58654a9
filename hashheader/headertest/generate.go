package headertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Generate returns n messages, the same for the same seed. They begin as mail
// does and are then damaged in ways that mail is, a few at a time.
func Generate(seed uint64, n int) (out []Message) {
	for i := range n {
		g := generator{rand.New(rand.NewPCG(seed, uint64(i)))}
		out = append(out, Message{fmt.Sprintf("generated %d.%d", seed, i), []byte(g.message(i))})
	}
	return out
}

type generator struct{ *rand.Rand }

// one reports true once in n times.
func (g generator) one(n int) bool { return g.IntN(n) == 0 }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// message returns a message. Number makes its id its own.
func (g generator) message(number int) string {
	lines := g.fields(number)
	for range g.IntN(3) {
		lines = g.damage(lines)
	}
	text := strings.Join(lines, "\n")
	switch g.IntN(8) {
	case 0: // neither a line end nor a body
	case 1:
		text += "\n"
	case 2:
		text += "\n\n"
	default:
		text += "\n\nbody\n" + g.pick("", ".\n", "From here on\n", "\nFrom here on\n", "Message-ID: <body@example.org>\n", " \n", "\n\n")
	}
	if g.one(5) {
		text = g.before() + text
	}
	if g.one(8) {
		text = g.insert(text, g.pick("\xe4", "\xc3\xa4", "\x00", "\r", "\r", "\x0b", "\x0c", "\x7f", "\x1b"))
	}
	return g.lineEnds(text)
}

// fields returns the fields of a header section, most of them as they should
// be.
func (g generator) fields(number int) []string {
	id := fmt.Sprintf("<%d.%x@mail.example.org>", number, g.Uint32())
	all := []string{"Received: from a.example by b.example\n\twith ESMTP; Tue, 24 Nov 2026 11:00:00 +0000"}
	add := func(outOf, leftOut int, field string) {
		if g.IntN(outOf) >= leftOut {
			all = append(all, field)
		}
	}
	add(10, 1, "From: "+g.pick("A <a@example.org>", "a@example.org", "=?utf-8?q?=C3=A4?= <a@B.example>", "nobody", "<>"))
	add(10, 1, "Date: "+g.pick("Tue, 24 Nov 2026 11:00:00 +0000", "today", ""))
	add(10, 1, g.pick("Message-ID", "Message-Id", "message-id", "MESSAGE-ID")+g.pick(": ", ": ", ":", ":\t", ":  ")+g.id(id))
	add(10, 8, "Message-ID: "+g.pick("<second@example.org>", "<>", "", " "))
	add(10, 3, g.pick("To", "to", "Cc", "Resent-To", "Resent-Cc")+": "+g.addresses())
	add(10, 7, "Cc: "+g.addresses())
	add(10, 8, "List-Post: "+g.pick("<mailto:devel@lists.example.org>", "<mailto:users@lists.example.org?subject=x>", "NO", "<mailto:de%76el@lists.example.org>"))
	add(10, 8, "List-Id: "+g.pick("Devel <devel.lists.example.org>", "users.lists.example.org", "<other.example.net>"))
	add(20, 19, "Message-ID-MD5: "+g.pick("2FSRUHO6FOQVW42UNHOYWCUTJI", "x", ""))
	add(20, 19, "Archived-At: "+g.pick("<https://a.example/devel@lists.example.org/X>", "<https://other.example/1>", "<>"))
	add(40, 39, g.pick("X-No-Archive: yes", "X-Archive: no"))
	add(2, 1, "Subject: "+g.pick("hello", "=?utf-8?q?gr=C3=BC=C3=9Fe?=", "gr\xfc\xdfe", ""))
	if g.one(3) {
		g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// id returns a Message-ID field's value, mostly the one that it is given.
func (g generator) id(id string) string {
	switch g.IntN(16) {
	case 0:
		return ""
	case 1:
		return g.pick("<>", "< >", "<", ">")
	case 2:
		return strings.Trim(id, "<>")
	case 3:
		return id + g.pick(" ", "\t", " (comment)", " <two@example.org>", ">")
	case 4:
		return "<" + strings.Repeat("l", 990+g.IntN(14)) + ">"
	case 5:
		return "<gr\xfc" + id[1:]
	case 6:
		return "\n " + id
	}
	return id
}

func (g generator) addresses() string {
	var list []string
	for range 1 + g.IntN(3) {
		list = append(list, g.pick("devel@lists.example.org", "Devel <DEVEL@Lists.Example.Org>", "users@lists.example.org", "b@example.net",
			"devel-owner@lists.example.org", `"users@lists.example.org" <b@example.net>`, "lists: devel@lists.example.org, c@example.net;", "Devel [core] <devel@lists.example.org>"))
	}
	return strings.Join(list, g.pick(", ", ",\n ", ",\n\t"))
}

// damage changes the lines of a header section in one way.
func (g generator) damage(lines []string) []string {
	at := g.IntN(len(lines))
	name, value, _ := strings.Cut(lines[at], ":")
	switch g.IntN(9) {
	case 0:
		lines[at] = name + g.pick(" ", "\t", " \t ") + ":" + value
	case 1:
		lines[at] = g.pick(":", " :", "") + value
	case 2, 3:
		cut := g.IntN(len(value) + 1)
		lines[at] = name + ":" + value[:cut] + g.pick("\n ", "\n\t", "\n \n\t", "\r\n ", "\n      ") + value[cut:]
	case 4:
		lines[at] = name + value
	case 5:
		lines[at] = g.insert(name, g.pick("\xe4", " ", "\x00", "\x7f", "\r")) + ":" + value
	case 6:
		return slices.Insert(lines, at, lines[g.IntN(len(lines))])
	case 7:
		return slices.Insert(lines, at, g.pick("junk", "From x@y Mon Jan  1 10:00:00 2026", ">From x@y Mon Jan  1 10:00:00 2026", "From : a@example.org", "From x:y", "\r", "--"))
	case 8:
		return slices.Insert(lines, at, g.pick("", " ", "\t", " \t ", "\x0b"))
	}
	return lines
}

// before returns what a mailbox or an editor puts before a message.
func (g generator) before() string {
	text := ""
	for range 1 + g.IntN(2) {
		text += g.pick("\xef\xbb\xbf", "\n", " \n", "\t \n", "\r\n", "From a@example.org Tue Nov 24 11:00:00 2026\n", ">From b Mon\n", "From \n", " folded\n", " Message-ID: <folded@example.org>\n", "junk\n")
	}
	return text
}

func (g generator) insert(text, what string) string {
	at := g.IntN(len(text) + 1)
	return text[:at] + what + text[at:]
}

// lineEnds makes the line ends of a message all of a kind, or mixes them.
func (g generator) lineEnds(text string) string {
	switch g.IntN(6) {
	case 0, 1:
		return strings.ReplaceAll(text, "\n", "\r\n")
	case 2:
		return strings.ReplaceAll(text, "\n", "\r\r\n")
	case 3:
		var mixed strings.Builder
		for line := range strings.Lines(text) {
			before, ended := strings.CutSuffix(line, "\n")
			mixed.WriteString(before)
			if ended {
				mixed.WriteString(g.pick("\n", "\r\n", "\r\r\n"))
			}
		}
		return mixed.String()
	}
	return text
}
