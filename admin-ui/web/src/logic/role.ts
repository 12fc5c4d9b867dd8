// What a role may do. The server decides; the page only does not show what would be refused.

const ROLES = ["none", "viewer", "operator", "admin"];

/** Whether a role is that one, or may more. */
export function may(role: string, needed: "viewer" | "operator" | "admin"): boolean {
    return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
