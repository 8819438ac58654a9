package hashheader

import "strings"

// AuthenticationResultsField is the field in which a host reports its checks
// (RFC 8601).
const AuthenticationResultsField = "Authentication-Results"

// The longest reason and value that AuthenticationResults writes, so that no
// line grows past RFC 5322's 998 bytes.
const (
	maxReason = 200
	maxPvalue = 600
)

// AuthenticationResults composes the value of an Authentication-Results field
// (RFC 8601, section 2.2), a line a result, folded with LF and TAB.
// AuthservID names the host that checked. A Message-ID that passes is left out.
func AuthenticationResults(authservID string, checks []Check) string {
	var b strings.Builder
	b.WriteString(pvalue(authservID))
	told := false
	for _, c := range checks {
		if c.Method == MethodMessageID && c.Result == Pass {
			continue
		}
		told = true
		b.WriteString(";\n\t" + c.Method + "=" + string(c.Result))
		if c.Reason != "" {
			b.WriteString(" reason=" + pvalue(c.Reason[:min(len(c.Reason), maxReason)]))
		}
		if property := strings.ToLower(c.Field); isKeyword(property) && len(c.Value) <= maxPvalue {
			b.WriteString("\n\t header." + property + "=" + pvalue(c.Value))
		}
	}
	if !told {
		b.WriteString("; none")
	}
	return b.String()
}

// isKeyword reports whether text is a Keyword (RFC 5321, section 4.1.2), as a
// property's name must be.
func isKeyword(text string) bool {
	return text != "" && !strings.HasSuffix(text, "-") && strings.Trim(text, letterDigitHyphen) == ""
}

// pvalue writes a value: a token as it is, all else as a quoted-string (RFC
// 2045, section 5.1). What a header line cannot hold becomes a question mark.
func pvalue(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	}) {
		return text
	}
	quoted := []byte{'"'}
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c >= 0x7f:
			quoted = append(quoted, '?')
		case c == '"' || c == '\\':
			quoted = append(quoted, '\\', c)
		default:
			quoted = append(quoted, c)
		}
	}
	return string(append(quoted, '"'))
}
