// A rank table: which rank is on which device, as the vendor's JSON says it.
#pragma once

#include <string>
#include <vector>

#include "core/communicator.h"
#include "core/outcome.h"

namespace emulated {

struct RankTable {
    std::string path;
    // By rank.
    std::vector<int> devices;

    // `invalid_argument` if the file is not there or says something else than ranks from 0 on.
    static Outcome read(const char *path, RankTable *table);

    // The name of the communicator lies in a file beside the table while its ranks meet.
    bool leave_name(const CommunicatorName &name) const;
    bool find_name(CommunicatorName *name) const;
    void take_name_away() const;
};

} // namespace emulated
