package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// maxJSON bounds the JSON body of a request, in bytes.
const maxJSON = 64 << 10

// The bodies of API version 1, as openapi.json describes them.
type (
	reservations struct {
		Reservations []registry.ReservationJSON `json:"reservations"`
	}
	reserveRequest struct {
		List     string `json:"list"`
		Hash     string `json:"hash"`
		Identity string `json:"identity"`
		Share    bool   `json:"share,omitempty"`
		Body     string `json:"body,omitempty"`
	}
	confirmRequest struct {
		URL      string `json:"url"`
		Subject  string `json:"subject,omitempty"`
		Identity string `json:"identity,omitempty"`
	}
	// A line of a listing for an entry that cannot be read says why it is so. The
	// key is empty where it cannot be read either.
	unreadableLine struct {
		List string `json:"list"`
		Hash string `json:"hash"`
		corruptLine
	}
	corruptLine struct {
		Corrupt string `json:"corrupt,omitempty"`
	}
	// The last line of a listing: its end, or a problem. A listing without
	// either was cut off.
	lastLine struct {
		End     *listEnd `json:"end,omitempty"`
		Problem *problem `json:"problem,omitempty"`
	}
	listEnd struct {
		Count int  `json:"count"`
		More  bool `json:"more"`
	}
	statsBody struct {
		statsJSON
		At time.Time `json:"at"`
	}
	// statsJSON is registry.Stats with JSON names.
	statsJSON struct {
		Lists      int `json:"lists"`
		Hashes     int `json:"hashes"`
		Reserved   int `json:"reserved"`
		Archived   int `json:"archived"`
		Collisions int `json:"collisions"`
		Unreadable int `json:"unreadable"`
	}
)

// reservation returns the JSON of a reservation, with the permalink that leads
// to it.
func (h *Handler) reservation(r registry.Reservation) registry.ReservationJSON {
	j := r.JSON()
	j.Permalink = h.permalink(r.List, r.Token())
	return j
}

// readJSON reads a request's body strictly: one JSON value of at most maxJSON
// bytes, its fields known.
func (x *exchange) readJSON(into any) error { return x.readJSONOf(maxJSON, into) }

// readJSONOf is readJSON with another bound.
func (x *exchange) readJSONOf(max int64, into any) error {
	if err := wantType(x.r, "application/json"); err != nil {
		return err
	}
	data, err := io.ReadAll(x.body(max))
	if err != nil {
		return bodyError(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("body: %s", position(data, d.InputOffset(), err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("body: %s", position(data, d.InputOffset(), errors.New("more than one JSON value")))
	}
	return nil
}

// position puts the line and column before an error of encoding/json.
func position(data []byte, offset int64, err error) string {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	text := strings.TrimPrefix(err.Error(), "json: ")
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &wrong):
		offset, text = wrong.Offset, fmt.Sprintf("%s is a %s, want a %s", wrong.Field, wrong.Value, wrong.Type)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		offset, text = int64(len(data)), "it ends too early"
	}
	before := data[:min(int(offset), len(data))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	return fmt.Sprintf("line %d, column %d: %s", line, len(before)-bytes.LastIndexByte(before, '\n')-1, text)
}

// wantType returns errType for a body of another media type.
func wantType(r *http.Request, types ...string) error {
	got, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if slices.Contains(types, got) {
		return nil
	}
	return fmt.Errorf("%w: got %.80q, want %s", errType, got, strings.Join(types, " or "))
}

// bodyError says why a body could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return fmt.Errorf("%w: more than %d bytes", errTooLarge, large.Limit)
	}
	return invalid("body: %v", err)
}

// parseIdentity reads an identity. An empty text is the zero identity, which
// the registry does not check.
func parseIdentity(text string) (hashheader.Identity, error) {
	if text == "" {
		return hashheader.Identity{}, nil
	}
	id, err := hashheader.ParseIdentity(text)
	if err != nil {
		return id, invalid("%v", err)
	}
	return id, nil
}
