# The id that public-inbox takes from a message, as a command that permalink conform hash can test. It may take several;
# its URL has the first.
use strict;
use warnings;
use PrintID;
use PublicInbox::Eml;
use PublicInbox::MID qw(mids mid_escape);
use URI::Escape qw(uri_unescape);

my $text = do { local $/; <STDIN> };
$text =~ s/\A[\r\n]*From [^\r\n]*\r?\n//s; # as public-inbox-mda does
my ($id) = @{mids(PublicInbox::Eml->new(\$text))};
print_id(uri_unescape(mid_escape($id))) if defined $id;
