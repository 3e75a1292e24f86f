/* Measured times, and what they say together. */
#ifndef HF_SAMPLES_H
#define HF_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct hf_samples {
    uint64_t *values;
    size_t count, room;
};

void hf_samples_add(struct hf_samples *samples, uint64_t value);
/* The smallest value that at least `percent` of all are not above (nearest rank); sorts them. 0 when there are none. */
uint64_t hf_samples_percentile(struct hf_samples *samples, double percent);
void hf_samples_deinit(struct hf_samples *samples);

#endif
