/* DMA-buf heaps for a kernel that has none: LD_PRELOAD this, and every buffer is a memfd.
 *
 * PINHOLE_HEAPS names the heaps that there are, between colons; by default the CMA heap of a Pi.
 * Numbers are those of linux/dma-heap.h, linux/dma-buf.h and linux/udmabuf.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FOLDER "/dev/dma_heap/"

static int is_heap(const char *path)
{
	return path && strncmp(path, FOLDER, strlen(FOLDER)) == 0;
}

static int is_there(const char *path)
{
	const char *heaps = getenv("PINHOLE_HEAPS");
	const char *name = path + strlen(FOLDER);
	size_t length = strlen(name);

	for (heaps = heaps ? heaps : "linux,cma"; *heaps; heaps += strcspn(heaps, ":"), heaps += *heaps == ':')
		if (strcspn(heaps, ":") == length && strncmp(heaps, name, length) == 0)
			return 1;
	return 0;
}

/* A heap that is open is /dev/null: all that is asked of it is an ioctl. */
static const char *behind(const char *path)
{
	return is_there(path) ? "/dev/null" : "/dev/dma_heap";
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(NAME)                                                                   \
	int NAME(const char *path, int flags, ...)                                   \
	{                                                                            \
		int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #NAME);       \
		va_list arguments;                                                   \
		va_start(arguments, flags);                                          \
		mode_t mode = mode_of(flags, arguments);                             \
		va_end(arguments);                                                   \
		return real(is_heap(path) ? behind(path) : path, flags, mode);       \
	}

#define OPENAT(NAME)                                                                 \
	int NAME(int folder, const char *path, int flags, ...)                       \
	{                                                                            \
		int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, #NAME);  \
		va_list arguments;                                                   \
		va_start(arguments, flags);                                          \
		mode_t mode = mode_of(flags, arguments);                             \
		va_end(arguments);                                                   \
		return real(folder, is_heap(path) ? behind(path) : path, flags, mode); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

static int allocate(struct dma_heap_allocation_data *wanted)
{
	int buffer = memfd_create("dma-buf", MFD_CLOEXEC);

	if (buffer < 0)
		return -1;
	if (ftruncate(buffer, wanted->len) < 0) {
		int error = errno;

		close(buffer);
		errno = error;
		return -1;
	}
	wanted->fd = buffer;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);

	/* Python passes the number as a signed int. */
	unsigned int number = request;

	if (number == DMA_HEAP_IOCTL_ALLOC)
		return allocate(argument);
	int result = real(fd, request, argument);
	/* A memfd is coherent and needs no name. */
	if (result < 0 && errno == ENOTTY && _IOC_TYPE(number) == DMA_BUF_BASE)
		return 0;
	return result;
}
