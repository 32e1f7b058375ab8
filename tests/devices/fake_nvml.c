/* A stand-in for libnvidia-ml.so.1 with the few functions that the inventory asks for.
 *
 * FAKE_NVML_SCENARIO chooses the machine: "no_driver", "eight", "mig", "busy", "old",
 * "pascal", "unified", "lost", "falling", "vague" or "mismatch". GPU 0 of the "falling" machine is lost as soon as
 * there is a file at FAKE_NVML_FALLEN. Structures and codes follow NVML's public header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    LIB_RM_VERSION_MISMATCH = 18,
    UNKNOWN = 999
};

#define GIB (1ULL << 30)
#define NOT_AVAILABLE (~0ULL)
#define MEMORY_V2 0x02000028u
#define MIG_SLOTS 7

/* Handles: a GPU is its index, a MIG device 100 + its slot; plus 1, since 0 is no handle. */
typedef struct handle *device_t;

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} memory_v2_t;
typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} process_t;

static int users = 0;

static int is(const char *name) {
    const char *scenario = getenv("FAKE_NVML_SCENARIO");
    return scenario != NULL && strcmp(scenario, name) == 0;
}

static long number(device_t device) { return (long)device - 1; }

static int is_mig_device(device_t device) { return number(device) >= 100; }

/* GPU 1 of the "lost" machine falls off the bus after its handle has been given out. */
static int is_lost(device_t device) {
    const char *sign = getenv("FAKE_NVML_FALLEN");
    if (is("falling")) return sign != NULL && access(sign, F_OK) == 0;
    return is("lost") && number(device) == 1;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (is("no_driver")) return DRIVER_NOT_LOADED;
    if (is("mismatch")) return LIB_RM_VERSION_MISMATCH;
    users++;
    return SUCCESS;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    if (users == 0) return UNINITIALIZED;
    users--;
    return SUCCESS;
}

/* Not part of NVML: lets a test see that every init had its shutdown. */
int fake_nvml_users(void) { return users; }

const char *nvmlErrorString(int code) {
    return code == GPU_IS_LOST ? "GPU is lost" : "some error";
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    if (users == 0) return UNINITIALIZED;
    snprintf(version, length, "580.12.34");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (users == 0) return UNINITIALIZED;
    *count = is("eight") ? 8 : is("lost") ? 3 : is("mig") ? 2 : 1;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
    if (users == 0) return UNINITIALIZED;
    *device = (device_t)(long)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device) {
    long at = atol(strrchr(uuid, '-') + 1) + (strncmp(uuid, "MIG", 3) == 0 ? 100 : 0);
    unsigned count;
    if (users == 0) return UNINITIALIZED;
    nvmlDeviceGetCount_v2(&count);
    if (at < 100 && at >= (long)count) return NOT_FOUND;
    *device = (device_t)(at + 1);
    return SUCCESS;
}

int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned length) {
    if (is_mig_device(device)) {
        snprintf(uuid, length, "MIG-00000000-0000-0000-0000-%012ld", number(device) - 100);
    } else {
        snprintf(uuid, length, "GPU-00000000-0000-0000-0000-%012ld", number(device));
    }
    return SUCCESS;
}

int nvmlDeviceGetName(device_t device, char *name, unsigned length) {
    snprintf(name, length, is_mig_device(device) ? "Fake GPU MIG 1g.10gb" : "Fake GPU");
    return SUCCESS;
}

static unsigned long long used_bytes(device_t device) {
    if (is("busy")) return 30 * GIB;
    if (is("eight")) return (unsigned long long)number(device) * GIB;
    return 0;
}

int nvmlDeviceGetMemoryInfo_v2(device_t device, memory_v2_t *memory) {
    if (is_lost(device)) return GPU_IS_LOST;
    if (is("old") || is("unified")) return NOT_SUPPORTED;
    if (memory->version != MEMORY_V2) return INVALID_ARGUMENT;
    memory->total = is_mig_device(device) ? 10 * GIB : 80 * GIB;
    memory->reserved = GIB / 2;
    memory->used = used_bytes(device);
    memory->free = memory->total - memory->reserved - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(device_t device, memory_t *memory) {
    if (is_lost(device)) return GPU_IS_LOST;
    if (is("unified")) return NOT_SUPPORTED;
    memory->total = 80 * GIB;
    memory->used = GIB / 2 + used_bytes(device);
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending) {
    if (!is("mig")) return NOT_SUPPORTED;
    *current = *pending = number(device) == 0;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count) {
    (void)device;
    *count = MIG_SLOTS;
    return SUCCESS;
}

/* Of the seven slots the second and the fifth hold a device. */
int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned slot, device_t *part) {
    (void)device;
    if (slot != 1 && slot != 4) return NOT_FOUND;
    *part = (device_t)(long)(100 + slot + 1);
    return SUCCESS;
}

static int fill(process_t *all, unsigned have, unsigned *count, process_t *out) {
    unsigned room = *count;
    *count = have;
    if (have == 0) return SUCCESS;
    if (out == NULL || room < have) return INSUFFICIENT_SIZE;
    memcpy(out, all, have * sizeof *all);
    return SUCCESS;
}

/* This process; a process of another container; and one that hides what it uses. */
int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *count, process_t *out) {
    const char *own = getenv("FAKE_NVML_PID");
    process_t all[] = {
        {own ? (unsigned)atoi(own) : 1, 20 * GIB, 0, 0},
        {4194305, 10 * GIB, 0, 0},
    };
    (void)device;
    if (is("vague")) return UNKNOWN;
    return fill(all, is("busy") ? 2 : 0, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t device, unsigned *count, process_t *out) {
    process_t all[] = {{4194306, NOT_AVAILABLE, 0, 0}, {4194305, NOT_AVAILABLE, 0, 0}};
    (void)device;
    if (is("unified")) return NOT_SUPPORTED;
    return fill(all, is("busy") ? 2 : 0, count, out);
}

static unsigned drawn_mw = 123456;
static unsigned long long taken_mj = 5000;

/* Not part of NVML: let a test say what every GPU draws, and let one take energy. */
void fake_nvml_draw(unsigned power_mw) { drawn_mw = power_mw; }
void fake_nvml_take(unsigned long long energy_mj) { taken_mj += energy_mj; }

/* Milliwatts; an old driver does not say, nor does a part of a GPU. */
int nvmlDeviceGetPowerUsage(device_t device, unsigned *power) {
    if (users == 0) return UNINITIALIZED;
    if (is_lost(device)) return GPU_IS_LOST;
    if (is("old") || is("unified") || is_mig_device(device)) return NOT_SUPPORTED;
    if (is("vague")) return UNKNOWN;
    *power = drawn_mw;
    return SUCCESS;
}

/* Millijoules; there is no such counter before Volta. */
int nvmlDeviceGetTotalEnergyConsumption(device_t device, unsigned long long *energy) {
    if (users == 0) return UNINITIALIZED;
    if (is_lost(device)) return GPU_IS_LOST;
    if (is("pascal") || is("old") || is("unified") || is_mig_device(device)) return NOT_SUPPORTED;
    *energy = taken_mj;
    return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(device_t device, unsigned *limit) {
    if (is("old") || is("unified") || is_mig_device(device)) return NOT_SUPPORTED;
    *limit = 700000;
    return SUCCESS;
}

typedef struct { unsigned gpu, memory; } utilization_t;

int nvmlDeviceGetUtilizationRates(device_t device, utilization_t *rates) {
    if (is("old") || is("unified") || is_mig_device(device)) return NOT_SUPPORTED;
    if (is("vague")) return UNKNOWN;
    rates->gpu = is("busy") ? 87 : 0;
    rates->memory = 40;
    return SUCCESS;
}
