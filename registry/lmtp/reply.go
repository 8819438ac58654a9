package lmtp

import (
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
)

// reply returns the answer to a recipient. go-smtp takes positive replies as
// errors, too.
func reply(code int, enhanced smtp.EnhancedCode, format string, args ...any) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: fmt.Sprintf(format, args...)}
}

// maxURL bounds the URL in a reply, whose line should have at most 512 octets
// (RFC 5321, section 4.5.3.1.5). A longer one is left out.
const maxURL = 250

func keptAs(how string, as Address, url string) *smtp.SMTPError {
	if len(url) > maxURL {
		url = ""
	}
	return reply(250, smtp.EnhancedCode{2, 1, 5}, "%s", strings.TrimRight(fmt.Sprintf("%s as <%s> %s", how, as, url), " "))
}

func occupied(try Address) *smtp.SMTPError {
	return reply(553, smtp.EnhancedCode{5, 1, 0}, "Permalink already occupied, try <%s>", try)
}

func outOfTurn(try Address) *smtp.SMTPError {
	return reply(553, smtp.EnhancedCode{5, 1, 0}, "Permalink not in use yet, try <%s>", try)
}

func full() *smtp.SMTPError {
	return reply(553, smtp.EnhancedCode{5, 1, 0}, "Permalink already occupied, and so are all others of its hash")
}

func noPermalink(err error) *smtp.SMTPError {
	return reply(550, smtp.EnhancedCode{5, 1, 1}, "%v", err)
}

func noSuchList(a Address) *smtp.SMTPError {
	return reply(550, smtp.EnhancedCode{5, 1, 1}, "No list %q at %s", a.Name, a.Domain)
}

func noSuchDomain(a Address) *smtp.SMTPError {
	return reply(550, smtp.EnhancedCode{5, 1, 2}, "%s is not an archive of this server", a.Domain)
}

func wrongMessage(format string, args ...any) *smtp.SMTPError {
	return reply(554, smtp.EnhancedCode{5, 6, 0}, format, args...)
}

func unavailable(what string) *smtp.SMTPError {
	return reply(451, smtp.EnhancedCode{4, 3, 0}, "The %s does not answer, try again later", what)
}

func nextHopDown() *smtp.SMTPError {
	return reply(451, smtp.EnhancedCode{4, 4, 1}, "The next hop does not answer, try again later")
}

func tooManyRefused() *smtp.SMTPError {
	return reply(421, smtp.EnhancedCode{4, 7, 0}, "Too many refused recipients, closing the connection")
}

func interrupted() *smtp.SMTPError {
	return reply(451, smtp.EnhancedCode{4, 3, 2}, "The message did not come whole, try again later")
}
