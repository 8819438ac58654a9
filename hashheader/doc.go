// Package hashheader computes the hashed Message-ID of a mail message, writes
// and verifies the header fields that carry it, and expands the URL templates
// of archives.
//
// It is pure: no I/O but the io.Reader it is given, no clock, no registry, and
// no import of this module's other packages, so that archivers and archive
// readers can use it alone.
//
// # How to use it
//
// [ReadHeader] reads the header section of a message by the one rule that
// every program here follows (see [Section]). [Header.NameID] returns the
// canonical Message-ID that names the message, and [Algorithm.Hash] its hash.
// [ParseTemplate] and [Template.Expand] make the permalink. [Examine] checks
// the fields that a message carries.
package hashheader
