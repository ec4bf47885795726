/* Written for this test: the parts of iproute2's loader that the fixes concern. */

int bpf_obj_open(const char *path)
{
	return open(path, O_RDONLY);
}
