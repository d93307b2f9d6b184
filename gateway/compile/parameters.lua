-- Cuts the parameters that may hold a caller's key out of the query, and leaves every other byte as the caller wrote it.
--
-- A name is read as the authentication before this reads it: up to the first "=", percent-decoded once, its case as it is.
-- The names come with the route; without them nothing is forwarded.

local find, sub = string.find, string.sub -- compiled by LuaJIT; its gmatch is not, and took 10 ms for a query of 50,000 "&"

local function character(digits)
  return string.char(tonumber(digits, 16))
end

local function name_of(part)
  local equals = find(part, "=", 1, true)
  local name = equals and sub(part, 1, equals - 1) or part
  return find(name, "%", 1, true) and name:gsub("%%(%x%x)", character) or name
end

local function without(query, hidden)
  local kept, count, start = {}, 0, 1
  repeat
    local stop = find(query, "&", start, true) or #query + 1
    local part = sub(query, start, stop - 1)
    if not hidden[name_of(part)] then
      count = count + 1
      kept[count] = part
    end
    start = stop + 1
  until start > #query + 1
  return table.concat(kept, "&")
end

local function cut(handle)
  local hidden = assert(handle:filterContext():get("parameters"))
  local path = handle:headers():get(":path")
  local mark = find(path, "?", 1, true)
  if not mark then return end
  local query = sub(path, mark + 1)
  local rest = without(query, hidden)
  if rest ~= query then
    handle:headers():replace(":path", sub(path, 1, mark - (rest == "" and 1 or 0)) .. rest)
  end
end

-- Envoy lets a request pass on when a script fails.
function envoy_on_request(handle)
  if not pcall(cut, handle) then
    handle:respond({[":status"] = "500"}, "The gateway could not read this query.")
  end
end
