// The header and the library from C++.
#include <libnicfw.h>

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
    nicfw_error err = NICFW_INIT(nicfw_error);
    nicfw_adapter *nic = nullptr;
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    if (argc != 2 || nicfw_adapter_open(argv[1], nullptr, &nic, &err) != NICFW_OK) {
        std::fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    bool sound = nicfw_adapter_get_info(nic, &info, &err) == NICFW_OK && info.vendor == 0x1924;
    nicfw_policy *policy = nullptr;
    sound = sound && nicfw_policy_parse("nicfw: 1\nunbound: maybe\n", "w.yaml", &policy, &err) == NICFW_E_POLICY;
    sound = sound && policy == nullptr && std::strstr(err.message, "w.yaml:2:10") != nullptr;
    sound = nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err) == NICFW_OK && sound;
    std::puts(sound ? "C++: ok" : "C++: not so");
    return sound ? 0 : 1;
}
