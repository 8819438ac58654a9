# Prints the digests of an id that a peer without a hash of its own took from a message.
package PrintID;
use strict;
use warnings;
use Digest::MD5 qw(md5);
use Digest::SHA qw(sha1 sha256);
use Exporter qw(import);
our @EXPORT = qw(print_id);

sub base32 {
	my $bits = unpack 'B*', shift;
	$bits .= '0' while length($bits) % 5;
	return join '', map { ('A' .. 'Z', 2 .. 7)[oct "0b$_"] } $bits =~ /.{5}/g;
}

sub print_id {
	my $id = shift;
	return unless defined $id and length $id;
	utf8::encode($id) if utf8::is_utf8($id);
	printf "Message-ID-%s: %s\n", @$_ for ['MD5', base32(md5($id))], ['SHA1', base32(sha1($id))], ['SHA256', base32(sha256($id))];
}

1;
