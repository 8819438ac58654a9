package main

import (
	"time"

	"permalink-milter/registry"
)

// A record is a reservation as lookup --json prints it.
type record struct {
	List     string     `json:"list"`
	Token    string     `json:"token"`
	Identity string     `json:"identity"`
	State    string     `json:"state"`
	Since    time.Time  `json:"since"`
	Expires  *time.Time `json:"expires,omitempty"`
	URL      string     `json:"url,omitempty"`
	Subject  string     `json:"subject,omitempty"`
}

// newRecord leaves out what a zero value means: no expiry.
func newRecord(r registry.Reservation) record {
	rec := record{List: r.List, Token: r.Token(), Identity: r.Identity.String(), State: r.State.String(), Since: r.Since, URL: r.URL, Subject: r.Subject}
	if !r.Expires.IsZero() {
		rec.Expires = &r.Expires
	}
	return rec
}

// maxRecord bounds a line of JSON.
const maxRecord = 64 << 10
