# Read packages: sh -eu -s <unpack-debs.sh, in a directory with 0.deb, 1.deb and so on.
#
# Leaves of each the tarball of its files, 0.files, and of what dpkg is told, 0.control. Nothing of a
# package runs.
for deb in *.deb; do
	dpkg-deb --fsys-tarfile "$deb" >"${deb%.deb}.files"
	dpkg-deb --ctrl-tarfile "$deb" >"${deb%.deb}.control"
done
