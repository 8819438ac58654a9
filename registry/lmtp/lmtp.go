// Package lmtp lets a sender and an archive agree on a permalink over plain
// LMTP (RFC 2033). The recipient is the variable part of the permalink at the
// archive's host; where another message holds the permalink, the archive
// answers as for a mailbox name that is not allowed. The package has the server,
// which delivers to a Maildir or to a next hop, and a client. It does not decide
// which message holds a token: the registry does.
//
// # How to use it
//
// An archive reads its delivery with [ParseDelivery], makes a server with
// [NewServer] and calls [Server.Serve] for each listener; [Server.Shutdown] lets
// the messages in progress end. A sender calls [Deliver] for each message. A
// sender in another language needs an LMTP client that shows the text of a
// refusal, as Python's smtplib does.
//
// # Recipients
//
//	token@archive-host
//	token+listname@archive-host       one of several lists of that host
//	token=claim@archive-host          with the first 8 to 32 hexadecimal
//	token=claim+listname@archive-host digits of the message's identity
//
// The token is HASH, or HASH-2, HASH-3, … after a collision; its length shows
// the algorithm. The host that an address names interprets the local part (RFC
// 5321, section 2.3.11), so a claim needs no extension of the protocol: whoever
// can compute the hash of a message can compute its identity too. A claim makes
// the reply to RCPT more exact. The message itself decides.
//
// # Replies to RCPT
//
// Before DATA the server knows only the envelope. RCPT reads the registry and
// changes nothing there, so a transaction that ends early leaves nothing behind.
//
//	250 2.0.0  the token is the next free one; or it is reserved and not yet
//	           archived, as when a milter reserved it before the archive sees
//	           the message; or it is archived, and this may be a retransmission
//	553 5.1.0  Permalink already occupied, try <token@archive-host>: another
//	           message holds the token. The address in the text can be used as
//	           a recipient as it stands, in this transaction or another. The
//	           same reply comes where the claimed message holds another token
//	           (the text names it), and for a token that is not in use while a
//	           lower one is free
//	550 5.1.1  the local part is not a permalink, or there is no such list here
//	550 5.1.2  the host is not one of this archive's
//	452 4.5.3  too many recipients (RFC 5321, section 4.5.3.1.10)
//	451 4.3.0  the registry does not answer
//	421 4.7.0  too many refused recipients; the server closes the connection
//	421 4.4.2  (to any command) the client said nothing for too long, or it was
//	           idle for the longest time while another one waited
//	503 5.5.1  (to MAIL) a transaction is open
//
// The server takes a transaction for a possible retransmission in three cases:
// the claim is that of the archived message; there is no claim, and the
// reverse-path is that of a transaction which archived the message or was told
// that it is archived; or the Maildir shows that the server stopped before it
// could reply. For the second case it remembers the reverse-paths of the last
// few thousand messages. So an MTA that lost the reply to DATA, and knows
// nothing of this protocol, does not bounce a message that is archived. If the
// message turns out to be another one, the client learns that at the end of
// DATA. If a client is refused although its message is archived, it takes the
// new token, and learns the old one at the end of DATA.
//
// # Replies to DATA, one for each recipient (RFC 2033, section 4.2)
//
//	250 2.1.5  Archived as <token@archive-host> URL: delivered, and confirmed
//	           in the registry
//	250 2.1.5  Already archived as <token@archive-host> URL: a copy of a message
//	           that is archived; it is not delivered again, whatever token the
//	           recipient named
//	553 5.1.0  as for RCPT: the token is not this message's, the one in the
//	           text is. Nothing is reserved for a message that is refused
//	554 5.6.0  the message has another hash, or no Message-ID, or its header
//	           section is over 1 MiB, or its permalink is longer than the
//	           registry takes
//	552 5.3.4  the message is over the limit (RFC 1870)
//	451 4.3.0  the registry or the Maildir does not answer
//	451 4.3.2  the message did not come whole before the time-out
//	452 4.3.1  no room on the disk
//	451 4.4.1  the next hop does not answer, or answers out of turn
//	4xx, 5xx   what the next hop said about this recipient; 550 for its 551
//	           and 553
//
// The server never answers 551: a token is not a forwarding address.
//
// # What makes a copy
//
// Every 250 to DATA means that the message is kept, or that it is a copy of one
// that is. Two messages are copies if they have the same hash, identity
// ([permalink-milter/hashheader.Identify], of the configured fields) and text.
// The text is what readers see: From and Subject; Content-Type and
// Content-Transfer-Encoding, which say how to read the body; and the body,
// everything behind the header section. White space in these fields is left
// out, and so is whether a line ends in LF or in one or more CRs and LF, and
// empty lines at the end, as in the simple body canonicalization of DKIM (RFC
// 6376, section 3.4.3). The other header fields are not compared, since relays
// add trace fields and change others.
//
// A message of the same identity with another text is another message: the
// client is told to try the next token, and the log has a warning. That holds
// for a forgery of a message as well as for the message itself if the forgery
// came first; and it holds for a copy to which a list manager added a footer or
// a prefix of the subject, or that a relay encoded anew. So no text is lost, at
// the cost of some copies.
//
// The registry keeps a digest of the text from before the delivery on, so that
// it is there after a crash and for all servers of the registry. What another
// program confirmed has no digest, and is not taken for a copy. So a list should
// have one archive that confirms, this server or one that uses the API.
//
// # Why this is safe
//
// A message counts as archived when the registry says so. The archive keeps it
// under the token that the client named, or not at all; so the client, the
// archived page and the registry agree. The order at the end of DATA is:
// reserve, deliver, confirm, reply. While it reserves, the server already writes
// the message to a Maildir's pending folder. Each step may be repeated. A Maildir
// gets each message once, wherever the server or the machine stops, see
// [ParseDelivery]. A next hop may get a message twice if the server stops
// between the next hop's 250 and the confirmation, which no relay can exclude
// (RFC 1047).
//
// Data end at a line of one dot (RFC 5321, section 4.1.1.4) and nowhere else.
// Its own line end and that of the line before may have several CRs, but not
// none: an LF alone ends no line, so that no client can hide a transaction in
// the data of another's.
//
// # Example
//
// Bob's message has the hash of Alice's, which is archived:
//
//	S: 220 archive.example.org LMTP Service Ready
//	C: LHLO lists.example.org
//	S: 250-Hello lists.example.org
//	S: 250-PIPELINING
//	S: 250-8BITMIME
//	S: 250-ENHANCEDSTATUSCODES
//	S: 250-CHUNKING
//	S: 250-SMTPUTF8
//	S: 250-SIZE 67108864
//	S: 250 LIMITS RCPTMAX=100
//	C: MAIL FROM:<bob@example.net>
//	S: 250 2.0.0 Roger, accepting mail from <bob@example.net>
//	C: RCPT TO:<7KWUTBTOSSMPYFYZ6UUJ46QCNE@archive.example.org>
//	S: 553 5.1.0 Permalink already occupied, try <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org>
//	C: RCPT TO:<7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org>
//	S: 250 2.0.0 I'll make sure <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> gets this
//	C: DATA
//	S: 354 Go ahead. End your data with <CR><LF>.<CR><LF>
//	C: (the message)
//	C: .
//	S: 250 2.1.5 <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> Archived as <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> https://lists.example.org/7KWUTBTOSSMPYFYZ6UUJ46QCNE-2
//	C: QUIT
//	S: 221 2.0.0 Bye
package lmtp
