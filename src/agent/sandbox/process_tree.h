// All that a process has started, where no namespace holds it together.
#pragma once

namespace atelier::agent {

// Ends every descendant of this process and waits for them. It must be a subreaper: whatever a descendant
// does to hide from its parents, orphans come here.
void end_descendants();

}  // namespace atelier::agent
