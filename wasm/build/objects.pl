# Keeps those entries of OpenSSL's table of objects (crypto/objects/obj_dat.h, which is generated too) that objects.txt lists. The
# others lose their names and OIDs, and become what a number between two objects is: unknown. Such an OID in a certificate is
# still read, compared and shown, in numbers.
#
#   perl objects.pl objects.txt obj_dat.h
use strict;
use warnings;

my ($list, $table) = @ARGV;
my %keep = (undef => 1);
open(my $in, '<', $list) or die "$list: $!";
while (<$in>) {
    s/#.*//;
    $keep{$_} = 1 for split;
}
open($in, '<', $table) or die "$table: $!";
my @lines = <$in>;

my ($array, $oids, $bytes) = ("", "", 0);
my (%oid, %count, @out, @kept);
for (@lines) {
    if (/^static const .* (\w+)\[/) {
        $array = $1;
        push @out, $_;
    } elsif ($array eq 'so' && /^\s+((?:0x..,)+)\s+\/\* \[\s*(\d+)\] OBJ_/) {
        $oid{$2} = $1;
    } elsif ($array eq 'nid_objs' && /^    \{/) {
        my $kept = 0;
        if (/NID_(\w+)/ && delete $keep{$1}) {
            $kept = 1;
            if (s/&so\[(\d+)\]/&so[$bytes]/) {
                $oids .= "    $oid{$1}\n";
                $bytes += () = $oid{$1} =~ /0x/g;
            }
        } else {
            $_ = "    { NULL, NULL, NID_undef, 0, NULL },\n";
        }
        push @kept, $kept;
        push @out, $_;
    } elsif ($array =~ /^(sn|ln|obj)_objs$/ && /^\s+(\d+),/) {
        push @out, $_ and $count{$array}++ if $kept[$1];
    } else {
        push @out, $_;
    }
}
my $left = join ' ', sort grep { $_ ne 'undef' } keys %keep;
die "$list: no such objects: $left\n" if $left ne '';

my $text = join '', @out;
$text =~ s/(static const unsigned char so)\[\d+\] = \{\n/$1\[$bytes] = {\n$oids/;
for (['SN', 'sn_objs'], ['LN', 'ln_objs'], ['OBJ', 'obj_objs']) {
    $text =~ s/#define NUM_$_->[0] \d+/#define NUM_$_->[0] $count{$_->[1]}/ or die "NUM_$_->[0]?";
}
open(my $file, '>', $table) or die "$table: $!";
print $file $text;
