package registry

import (
	"encoding/hex"
	"fmt"
	"time"

	"permalink-milter/hashheader"
)

// A ReservationJSON is a reservation as JSON, the same in the HTTP API, in
// "permalink lookup --json" and in an export:
//
//	{"list":"devel@lists.example.org","token":"VP3JZR3MSKY5TQSMS5FHURHQXI-2",
//	"identity":"000102030405060708090a0b0c0d0e0f","state":"archived",
//	"since":"2026-11-24T11:00:00Z","url":"https://archive.example.org/1","subject":"Hello"}
//
// Expires, url, subject and body are absent if there are none. Outcome and permalink
// are the API's; Reservation ignores them.
type ReservationJSON struct {
	List      string    `json:"list"`
	Token     string    `json:"token"`
	Identity  string    `json:"identity"`          // 32 hexadecimal digits
	State     string    `json:"state"`             // reserved or archived
	Outcome   string    `json:"outcome,omitempty"` // of a request to reserve
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires,omitzero"`
	URL       string    `json:"url,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Body      string    `json:"body,omitempty"`      // its digest, 32 hexadecimal digits
	Permalink string    `json:"permalink,omitempty"` // the URL that leads to the message
}

// JSON returns the form of a reservation that package json encodes.
func (r Reservation) JSON() ReservationJSON {
	return ReservationJSON{List: r.List, Token: r.Token(), Identity: r.Identity.String(), State: r.State.String(),
		Since: r.Since, Expires: r.Expires, URL: r.URL, Subject: r.Subject, Body: r.Body.String()}
}

// String returns the digest as 32 hexadecimal digits, "" if it is unknown.
func (b Body) String() string {
	if b == (Body{}) {
		return ""
	}
	return hex.EncodeToString(b[:])
}

// ParseBody reads what String returns. Its error wraps ErrInvalid.
func ParseBody(text string) (b Body, err error) {
	if text == "" {
		return b, nil
	}
	if len(text) == hex.EncodedLen(len(b)) {
		if _, err = hex.Decode(b[:], []byte(text)); err == nil {
			return b, nil
		}
	}
	return Body{}, fmt.Errorf("%w body %.40q: want 32 hexadecimal digits", ErrInvalid, text)
}

// Reservation returns the reservation that j describes. Its error wraps
// ErrInvalid, or is one of hashheader's for the identity.
func (j ReservationJSON) Reservation() (r Reservation, err error) {
	r = Reservation{List: j.List, Since: j.Since.UTC(), Expires: j.Expires.UTC(), URL: j.URL, Subject: j.Subject}
	if r.Hash, r.Ordinal, err = hashheader.ParseToken(j.Token); err != nil {
		return r, err
	}
	if r.Identity, err = hashheader.ParseIdentity(j.Identity); err != nil {
		return r, err
	}
	if r.Body, err = ParseBody(j.Body); err != nil {
		return r, err
	}
	switch j.State {
	case Reserved.String():
		r.State = Reserved
	case Archived.String():
		r.State = Archived
	default:
		return r, fmt.Errorf("%w state %.20q: want %s or %s", ErrInvalid, j.State, Reserved, Archived)
	}
	return r, nil
}
