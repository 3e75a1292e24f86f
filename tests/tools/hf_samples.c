#include "hf_samples.h"

#include <stdlib.h>

#include "hf_net.h"

void hf_samples_add(struct hf_samples *samples, uint64_t value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room == 0 ? 1024 : 2 * samples->room;
        samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
        if (samples->values == NULL)
            hf_die("out of memory");
    }
    samples->values[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

uint64_t hf_samples_percentile(struct hf_samples *samples, double percent)
{
    double rank = (double)samples->count * percent / 100;
    size_t index = (size_t)rank;

    if (samples->count == 0)
        return 0;
    qsort(samples->values, samples->count, sizeof *samples->values, compare);
    if ((double)index == rank && index > 0)
        index--;
    return samples->values[index < samples->count ? index : samples->count - 1];
}

void hf_samples_deinit(struct hf_samples *samples)
{
    free(samples->values);
    *samples = (struct hf_samples){0};
}
