package mailbox

import (
	"bytes"
	"io"

	"permalink-milter/hashheader"
)

// Raw is a message in parts that give it back byte for byte when joined.
type Raw struct {
	Envelope []byte   // what stands before the header section: From_ lines, a byte order mark
	Fields   [][]byte // each with its folds and line ends
	Rest     []byte   // from the end of the header section on
	Header   hashheader.Header
}

// ReadRaw reads the start of a message, its header section at least, and leaves
// the rest in r.
func ReadRaw(r io.Reader) (Raw, error) {
	data, section, err := hashheader.ReadSection(r, nil)
	if err != nil {
		return Raw{}, err
	}
	return newRaw(data, section), nil
}

func newRaw(data []byte, section hashheader.Section) Raw {
	raw := Raw{Envelope: data[:section.Start], Rest: data[section.End:], Header: section.Header(data)}
	for _, span := range section.Spans {
		raw.Fields = append(raw.Fields, data[span.Name:span.End])
	}
	return raw
}

// Start returns the bytes that were read.
func (r Raw) Start() []byte {
	return bytes.Join([][]byte{r.Envelope, bytes.Join(r.Fields, nil), r.Rest}, nil)
}

// EOL returns the line end of the message's first line.
func (r Raw) EOL() string {
	start := r.Start()
	if end := bytes.IndexByte(start, '\n'); end > 0 && start[end-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
